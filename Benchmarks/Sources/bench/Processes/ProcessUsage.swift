import Foundation

/// What a server has used: its process and all that descend from it, those included that have ended and were waited for.
struct ProcessUsage: Sendable {
    var cpuSeconds = 0.0
    var residentBytes = 0
    /// Octets that really went to the disk, as the kernel counts them.
    var writtenBytes = 0
    var processes = 0

    private static let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))
    private static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// Reads `/proc` for a process and its descendants.
    static func of(_ root: Int32) -> ProcessUsage {
        var stats: [Int32: [Substring]] = [:]
        var children: [Int32: [Int32]] = [:]
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            // After the name in parentheses: state, ppid, … utime is the 12th, stime, cutime, cstime, … rss the 22nd (proc(5)).
            guard let number = Int32(name), let text = try? String(contentsOfFile: "/proc/\(name)/stat", encoding: .utf8),
                let end = text.lastIndex(of: ")")
            else { continue }
            let fields = text[text.index(after: end)...].split(separator: " ")
            guard fields.count > 21, let parent = Int32(fields[1]) else { continue }
            stats[number] = fields
            children[parent, default: []].append(number)
        }
        var usage = ProcessUsage()
        var waiting = [root]
        while let number = waiting.popLast() {
            waiting += children[number] ?? []
            guard let fields = stats[number] else { continue }
            usage.processes += 1
            usage.cpuSeconds += (11...14).reduce(0) { $0 + (Double(fields[$1]) ?? 0) } / ticksPerSecond
            usage.residentBytes += (Int(fields[21]) ?? 0) * pageSize
            let counters = (try? String(contentsOfFile: "/proc/\(number)/io", encoding: .utf8)) ?? ""
            for line in counters.split(separator: "\n") where line.hasPrefix("write_bytes: ") {
                usage.writtenBytes += Int(line.dropFirst(13)) ?? 0
            }
        }
        return usage
    }
}
