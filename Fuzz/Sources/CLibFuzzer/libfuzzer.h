#include <stddef.h>
#include <stdint.h>

/// libFuzzer as a library: runs with a main function of our own, so that one executable holds every target.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *octets, size_t count));
