import NIOCore
import Synchronization

/// What a man in the middle could read.
final class Transcript: Sendable {
    /// More than this isn't kept; the laboratory's messages are small.
    private static let limit = 1 << 20

    private let octets = Mutex<[UInt8]>([])

    /// Adds what somebody said; ciphertext too, which says nothing.
    func add(_ who: StaticString, _ said: ByteBuffer) {
        octets.withLock { octets in
            guard octets.count < Self.limit else { return }
            octets += Array("\(who): ".utf8) + said.readableBytesView
        }
    }

    var text: String { String(decoding: octets.withLock { $0 }, as: UTF8.self) }

    /// The lines that the client said in words that can be read.
    var commands: [String] {
        text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("C: ") }.map { $0.dropFirst(3) }
            .filter { line in line.unicodeScalars.allSatisfy { (0x20...0x7E).contains($0.value) } }.map(String.init)
    }
}
