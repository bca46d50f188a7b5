#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

// Swift's Mutex locks in code that the compiler puts into ours, where the thread sanitizer sees it, but for a lock that somebody else
// holds: that is waited for in the library Synchronization, which isn't instrumented. Here the sanitizer is told of that as well.

#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"

extern void __tsan_acquire(void *address) __attribute__((weak));
typedef __attribute__((swiftcall)) void (*LockSlow)(uint32_t thread, __attribute__((swift_context)) void *handle);

__attribute__((swiftcall)) void lockSlow(uint32_t thread, __attribute__((swift_context)) void *handle) __asm__(LOCK_SLOW);

__attribute__((swiftcall)) void lockSlow(uint32_t thread, __attribute__((swift_context)) void *handle) {
    static LockSlow original;
    if (!original) original = (LockSlow)dlsym(RTLD_NEXT, LOCK_SLOW);
    original(thread, handle);
    if (__tsan_acquire) __tsan_acquire(handle);
}
