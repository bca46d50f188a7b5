import Lab
import MailTesting
import Testing

/// The program's memory comes from jemalloc, as Sources/CAllocator sets it up: without it, checks take a fifth longer, and what a flood of
/// connections took stays with the process.
@Suite struct AllocatorTests {
    @Test func memoryIsJemallocsWithOurSettings() async throws {
        // It tells its settings and figures at the end; glibc's malloc has never heard of the variable.
        let result = try await Command.run("/usr/bin/env", ["MALLOC_CONF=stats_print:true", try posternBinary(), "--version"])
        #expect(result.status == 0)
        #expect(result.errors.contains("jemalloc statistics"))
        for setting in ["background_thread: true", "dirty_decay_ms: 1000", "muzzy_decay_ms: 0"] {
            #expect(result.errors.contains("opt.\(setting)"), "\(setting)")
        }
    }
}
