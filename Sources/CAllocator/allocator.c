// jemalloc serves every malloc of the process that links this: a message is some hundred small pieces of memory which live for a millisecond,
// and which one thread often takes and another gives back.
//
// What is free goes back to the system after a second, by a thread of the allocator's own: a burst of connections must not be paid for in memory
// for the rest of the day. MALLOC_CONF in the environment goes before this.
__attribute__((used, visibility("default")))
const char *malloc_conf = "background_thread:true,max_background_threads:1,dirty_decay_ms:1000,muzzy_decay_ms:0";
