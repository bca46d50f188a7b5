// Nothing is called here: whoever links this target has jemalloc in place of the C library's malloc (allocator.c).
