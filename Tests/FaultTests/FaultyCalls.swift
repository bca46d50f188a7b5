import Foundation
import Testing

@testable import Lab

/// System calls that fail when a test wants it, beneath SQLite and everything else in the host: a small library that the dynamic linker
/// puts in front of the C library, told what to do through a file that both have mapped.
struct FaultyCalls: Sendable {
    /// The calls that can fail. A number is the place in the mapped file.
    enum Call: Int, CaseIterable, Sendable {
        case sync = 0
        case write = 1
        case open = 2
    }

    let library: String
    let control: String

    /// The words of the control file for each call: the error, how many calls pass before it, how many fail then (0: all), and what the
    /// library counts: calls so far, failures so far.
    private static let words = 5

    static func make(in folder: String) async throws -> FaultyCalls {
        let calls = FaultyCalls(library: "\(folder)/faulty-calls.so", control: "\(folder)/faulty-calls.control")
        try source.write(toFile: "\(folder)/faulty-calls.c", atomically: true, encoding: .utf8)
        try await Command.require("gcc", ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", calls.library, "\(folder)/faulty-calls.c", "-ldl"])
        try Data(count: 4 * words * Call.allCases.count).write(to: URL(fileURLWithPath: calls.control))
        return calls
    }

    /// What a host has to be started by. Only files below `dataFolder` are touched.
    func wrapper(dataFolder: String) -> [String] {
        ["env", "LD_PRELOAD=\(library)", "FAULTY_CALLS_CONTROL=\(control)", "FAULTY_CALLS_FOLDER=\(dataFolder)/"]
    }

    /// Lets calls fail from now on.
    /// - Parameters:
    ///   - passing: calls that succeed before.
    ///   - failing: calls that fail after those; 0 for all.
    func fail(_ call: Call, with number: Int32, passing: Int32 = 0, failing: Int32 = 0) throws {
        // The error comes last: with it the rule is in force.
        try set(call, 1, passing)
        try set(call, 2, failing)
        try set(call, 3, 0)
        try set(call, 4, 0)
        try set(call, 0, number)
    }

    func heal() throws { for call in Call.allCases { try set(call, 0, 0) } }

    /// Calls that failed since the last ``fail(_:with:passing:failing:)``.
    func failures(of call: Call) throws -> Int { try get(call, 4) }

    private func set(_ call: Call, _ word: Int, _ value: Int32) throws {
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: control))
        try handle.seek(toOffset: UInt64(4 * (call.rawValue * Self.words + word)))
        try handle.write(contentsOf: Data((0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }))
        try handle.close()
    }

    private func get(_ call: Call, _ word: Int) throws -> Int {
        let data = try Data(contentsOf: URL(fileURLWithPath: control))
        let start = 4 * (call.rawValue * Self.words + word)
        return Int(data[start]) | Int(data[start + 1]) << 8 | Int(data[start + 2]) << 16
    }

    private static let source = #"""
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <fcntl.h>
        #include <stdarg.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mman.h>
        #include <sys/types.h>
        #include <sys/uio.h>
        #include <unistd.h>

        struct rule { int error; int passing; int failing; int calls; int failures; };
        static struct rule *rules;
        static const char *folder;

        __attribute__((constructor)) static void begin(void) {
            const char *path = getenv("FAULTY_CALLS_CONTROL");
            int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
            folder = getenv("FAULTY_CALLS_FOLDER");
            int fd = path && real_open ? real_open(path, O_RDWR | O_CLOEXEC) : -1;
            if (fd < 0 || !folder) { fprintf(stderr, "faulty calls: no control file\n"); abort(); }
            rules = mmap(NULL, 3 * sizeof(struct rule), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            if (rules == MAP_FAILED) abort();
            close(fd);
        }

        static int fails(int call) {
            struct rule *rule = rules ? &rules[call] : NULL;
            if (!rule || !__atomic_load_n(&rule->error, __ATOMIC_SEQ_CST)) return 0;
            int number = __atomic_fetch_add(&rule->calls, 1, __ATOMIC_SEQ_CST);
            if (number < rule->passing || (rule->failing && number >= rule->passing + rule->failing)) return 0;
            __atomic_fetch_add(&rule->failures, 1, __ATOMIC_SEQ_CST);
            errno = rule->error;
            return 1;
        }

        /* Whether a descriptor is a file of the store. The log that readers share is memory and has no business with the disk. */
        static int concerns(int fd) {
            char link[64], path[4096];
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            ssize_t length = readlink(link, path, sizeof path - 1);
            if (length <= 0) return 0;
            path[length] = 0;
            return strncmp(path, folder, strlen(folder)) == 0 && !strstr(path, "-shm");
        }
        static int may_fail(int call, int fd) {
            return rules && __atomic_load_n(&rules[call].error, __ATOMIC_SEQ_CST) && concerns(fd) && fails(call);
        }

        #define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
        int fsync(int fd) { REAL(fsync); return may_fail(0, fd) ? -1 : real(fd); }
        int fdatasync(int fd) { REAL(fdatasync); return may_fail(0, fd) ? -1 : real(fd); }
        ssize_t write(int fd, const void *data, size_t count) { REAL(write); return may_fail(1, fd) ? -1 : real(fd, data, count); }
        ssize_t pwrite(int fd, const void *data, size_t count, off_t at) { REAL(pwrite); return may_fail(1, fd) ? -1 : real(fd, data, count, at); }
        ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) { REAL(pwrite64); return may_fail(1, fd) ? -1 : real(fd, data, count, at); }
        ssize_t writev(int fd, const struct iovec *parts, int count) { REAL(writev); return may_fail(1, fd) ? -1 : real(fd, parts, count); }
        int ftruncate(int fd, off_t size) { REAL(ftruncate); return may_fail(1, fd) ? -1 : real(fd, size); }
        int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); return may_fail(1, fd) ? -1 : real(fd, size); }

        static int refuses(const char *path, int flags) {
            return (flags & (O_CREAT | O_WRONLY | O_RDWR)) && path && folder && strncmp(path, folder, strlen(folder)) == 0 && !strstr(path, "-shm") && fails(2);
        }
        #define OPEN(name) int name(const char *path, int flags, ...) { \
            static int (*real)(const char *, int, ...); if (!real) real = dlsym(RTLD_NEXT, #name); \
            va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list); \
            return refuses(path, flags) ? -1 : real(path, flags, mode); }
        OPEN(open)
        OPEN(open64)
        """#
}
