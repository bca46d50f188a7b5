import FoundationEssentials

#if canImport(Glibc)
import Glibc
#endif

/// The words of a dictionary of libFuzzer's, one `"word"` a line with `\xAB`, `\\` and `\"`; and, in its comments, what can stand
/// before them: `#before "To: "`.
struct FuzzDictionary {
    var words: [[UInt8]] = []
    var contexts: [[UInt8]] = [[]]

    init?(file: String) {
        guard let data = FileManager.default.contents(atPath: file) else { return nil }
        for line in data.split(separator: 0x0A) {
            guard let open = line.firstIndex(of: UInt8(ascii: "\"")), let word = Self.unescaped(line[(open + 1)...]) else { continue }
            if line.starts(with: "#before".utf8) { contexts.append(word) } else if line.first != UInt8(ascii: "#") { words.append(word) }
        }
    }

    private static func unescaped(_ text: Data.SubSequence) -> [UInt8]? {
        var word: [UInt8] = []
        var rest = text
        while let octet = rest.popFirst() {
            switch octet {
            case UInt8(ascii: "\""): return word
            case UInt8(ascii: "\\"):
                guard let escaped = rest.popFirst() else { return nil }
                guard escaped == UInt8(ascii: "x") else {
                    word.append(escaped)
                    continue
                }
                guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
                rest = rest.dropFirst(2)
                word.append(value)
            default: word.append(octet)
            }
        }
        return nil
    }
}

/// Inputs that libFuzzer doesn't find by itself: a word again and again, 128 KiB and 512 KiB long. Four times the length may take about four
/// times as long; what takes much more is a weapon.
struct LongInputs {
    let target: FuzzTarget
    let dictionary: FuzzDictionary
    private static let short = 128 * 1024
    private static let long = 512 * 1024
    /// Shorter times are mostly noise.
    private static let leastSeconds = 0.25
    private static let ratioLimit = 7.0
    /// Linear, and nevertheless too slow: with the sanitizer a target reads some megabytes a second.
    private static let mostSeconds = 4.0

    /// Prints what is too slow. Whether all was well.
    func measure() -> Bool {
        var isWell = true
        var slowest = (seconds: 0.0, name: "")
        for context in dictionary.contexts {
            for word in dictionary.words {
                for options in [UInt8(ascii: "@"), UInt8(ascii: "A")] {
                    let name = "\(String(decoding: [options], as: UTF8.self)) \(String(reflecting: String(decoding: context + word, as: UTF8.self)))"
                    var seconds = time(options, context, word, Self.long)
                    if seconds > slowest.seconds { slowest = (seconds, name) }
                    guard seconds > Self.leastSeconds else { continue }
                    // The shorter of two runs, of the long input too where it matters: the first of a kind warms up.
                    let before = min(time(options, context, word, Self.short), time(options, context, word, Self.short))
                    if seconds / max(before, 0.001) > Self.ratioLimit { seconds = min(seconds, time(options, context, word, Self.long)) }
                    let ratio = seconds / max(before, 0.001)
                    guard ratio > Self.ratioLimit || seconds > Self.mostSeconds else { continue }
                    isWell = false
                    print("\(target.name): \(name) takes \(Self.text(seconds)) s for 512 KiB and \(Self.text(before)) s for 128 KiB")
                }
            }
        }
        print(
            "\(target.name): \(dictionary.contexts.count * dictionary.words.count * 2) long inputs; the slowest, \(slowest.name): \(Self.text(slowest.seconds)) s"
        )
        return isWell
    }

    /// Seconds of the processor, which other programs on the machine don't change.
    private func time(_ options: UInt8, _ context: [UInt8], _ word: [UInt8], _ length: Int) -> Double {
        var input = [options] + context
        input.reserveCapacity(length + 64)
        while input.count < length { input += word }
        input += Array("\r\n".utf8)
        let start = clock()
        target.run(input)
        return Double(clock() - start) / Double(CLOCKS_PER_SEC)
    }

    private static func text(_ seconds: Double) -> String { "\(Int(seconds * 1000) / 1000).\(String(Int(seconds * 1000) % 1000 + 1000).dropFirst())" }
}
