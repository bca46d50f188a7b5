public import Foundation

/// A message as people send them: an encoded subject, text and HTML side by side, lines that begin with dots, and an attachment of any size.
/// The same parameters give the same octets, so that a test can be repeated.
public struct SampleMessage: Sendable, Hashable {
    /// The Message-ID with its angle brackets.
    public let messageID: String
    /// The octets as they are submitted, lines ending in CRLF.
    public let content: Data

    public init(messageID: String, content: Data) {
        self.messageID = messageID
        self.content = content
    }

    /// What varies between sample messages.
    public struct Parameters: Sendable, Hashable {
        public var from: String
        public var to: String
        /// Any text; it is encoded as RFC 2047 asks.
        public var subject: String
        /// Decides the attachment's octets, the boundary and the Message-ID.
        public var seed: UInt64
        public var attachmentBytes: Int

        public init(from: String, to: String, subject: String, seed: UInt64, attachmentBytes: Int) {
            self.from = from
            self.to = to
            self.subject = subject
            self.seed = seed
            self.attachmentBytes = attachmentBytes
        }
    }

    /// Builds a message.
    public static func make(_ parameters: Parameters) -> SampleMessage {
        var random = SplitMix(state: parameters.seed)
        let boundary = "lab-\(String(random.next(), radix: 16))"
        let domain = parameters.from.split(separator: "@").last.map(String.init) ?? "kartapuce.test"
        let messageID = "<\(String(random.next(), radix: 16)).\(parameters.seed)@\(domain)>"
        let name = parameters.from.split(separator: "@").first.map { $0.prefix(1).uppercased() + $0.dropFirst() } ?? ""
        var lines = [
            "Date: Mon, 02 Mar 2026 09:30:00 +0100",
            "From: \(encodedWord("\(name) Châtaignier")) <\(parameters.from)>",
            "To: <\(parameters.to)>",
            "Subject: \(encodedWord(parameters.subject))",
            "Message-ID: \(messageID)",
            "MIME-Version: 1.0",
            "Content-Type: multipart/mixed; boundary=\"\(boundary)\"",
            "",
            "This is a message in several parts.",
            "--\(boundary)",
            "Content-Type: multipart/alternative; boundary=\"\(boundary)-text\"",
            "",
            "--\(boundary)-text",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable",
            "",
            "Voici les indicateurs de compromission =E2=80=94 =C3=A0 bloquer:",
            ".",
            "..",
            ". a line that begins with a dot, and one that only looks like an end:",
            ".\u{20}",
            "From the first word on, this line must not be quoted.",
            "",
            "--\(boundary)-text",
            "Content-Type: text/html; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable",
            "",
            "<html><body><p>Voici les <b>indicateurs</b> =E2=80=94 =C3=A0 bloquer.</p>",
            ".hidden { display: none }</body></html>",
            "--\(boundary)-text--",
            "--\(boundary)",
            "Content-Type: application/octet-stream; name=\"indicators.bin\"",
            "Content-Disposition: attachment; filename*=utf-8''indicateurs%20%C3%A9t%C3%A9.bin",
            "Content-Transfer-Encoding: base64",
            "",
        ]
        lines += random.octets(parameters.attachmentBytes).base64Lines()
        lines += ["--\(boundary)--", ""]
        return SampleMessage(messageID: messageID, content: Data((lines.joined(separator: "\r\n")).utf8))
    }

    /// RFC 2047 §2: encoded words of at most 75 characters, each holding whole characters.
    private static func encodedWord(_ text: String) -> String {
        var words: [String] = []
        var part: [UInt8] = []
        func flush() {
            if !part.isEmpty { words.append("=?utf-8?B?\(Data(part).base64EncodedString())?=") }
            part = []
        }
        for character in text {
            if part.count + character.utf8.count > 42 { flush() }
            part += Array(character.utf8)
        }
        flush()
        return words.joined(separator: "\r\n ")
    }
}

/// A small generator of repeatable randomness (SplitMix64).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func octets(_ count: Int) -> Data {
        var octets = [UInt8]()
        octets.reserveCapacity(count + 8)
        while octets.count < count {
            var word = next()
            for _ in 0..<8 {
                octets.append(UInt8(truncatingIfNeeded: word))
                word >>= 8
            }
        }
        return Data(octets.prefix(count))
    }
}

extension Data {
    /// Base64 in lines of 76 characters (RFC 2045 §6.8).
    fileprivate func base64Lines() -> [String] {
        let characters = Array(base64EncodedData())
        return stride(from: 0, to: characters.count, by: 76).map { start in
            String(decoding: characters[start..<Swift.min(start + 76, characters.count)], as: UTF8.self)
        }
    }
}
