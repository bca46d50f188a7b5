import Foundation
import Testing

@testable import Lab

/// What the laboratory's own judgement rests on: the messages it sends, and how it compares what comes back.
@Suite struct SampleMessageTests {
    private let parameters = SampleMessage.Parameters(
        from: "bob@kartapuce.test",
        to: "jack@kartapuce.test",
        subject: "Indicateurs de compromission – à bloquer 😀 aujourd’hui encore",
        seed: 7,
        attachmentBytes: 100_000
    )

    @Test func theSameParametersGiveTheSameOctets() {
        #expect(SampleMessage.make(parameters) == SampleMessage.make(parameters))
        var other = parameters
        other.seed = 8
        #expect(SampleMessage.make(other).messageID != SampleMessage.make(parameters).messageID)
    }

    @Test func everyLineIsValidOnTheWire() {
        let content = [UInt8](SampleMessage.make(parameters).content)
        #expect(content.count > 130_000)
        #expect(content.allSatisfy { $0 < 0x80 && $0 != 0 })
        var length = 0
        var hasDots = false
        for (index, octet) in content.enumerated() {
            if octet == 0x0D { #expect(index + 1 < content.count && content[index + 1] == 0x0A) }
            if octet == 0x0A {
                #expect(index > 0 && content[index - 1] == 0x0D)
                // RFC 5322 §2.1.1: at most 998 octets without CRLF.
                #expect(length - 1 <= 998)
                length = 0
            } else {
                if length == 0, octet == UInt8(ascii: ".") { hasDots = true }
                length += 1
            }
        }
        #expect(length == 0, "the message ends with a line end")
        #expect(hasDots, "some lines begin with dots")
    }

    @Test func encodedWordsHoldWholeCharactersAndFit() throws {
        let text = String(decoding: SampleMessage.make(parameters).content, as: UTF8.self)
        let lines = text.components(separatedBy: "\r\n")
        let start = try #require(lines.firstIndex { $0.hasPrefix("Subject: ") })
        var subject = String(lines[start].dropFirst("Subject: ".count))
        for line in lines[(start + 1)...].prefix(while: { $0.hasPrefix(" ") }) { subject += line }
        var decoded = ""
        for word in subject.split(separator: " ") {
            // RFC 2047 §2: at most 75 characters.
            #expect(word.count <= 75)
            let encoded = String(word.dropFirst("=?utf-8?B?".count).dropLast(2))
            let octets = try #require(Data(base64Encoded: encoded))
            decoded += try #require(String(data: octets, encoding: .utf8), "a character was cut")
        }
        #expect(decoded == parameters.subject)
    }

    @Test(arguments: [
        ("", true), ("Received: from a\r\n by b\r\n", true), ("Return-Path: <bob@kartapuce.test>\r\nX-A: 1\r\n", true), (" folded first\r\n", false),
        ("no field\r\n", false), ("Received: unfinished", false), ("Received: a\r\n\r\n", false), ("Spaced name: a\r\n", false),
    ])
    func onlyHeaderFieldsMayStandBeforeTheOriginal(prefix: String, isFine: Bool) {
        let original = SampleMessage.make(parameters).content
        #expect(ReceivedMessage(Data(prefix.utf8) + original).isUnchanged(original) == isFine)
    }

    @Test func aChangedOctetIsSeen() {
        let original = SampleMessage.make(parameters).content
        for position in [0, 200, original.count / 2, original.count - 1] {
            var changed = original
            changed[position] ^= 1
            #expect(!ReceivedMessage(changed).isUnchanged(original))
        }
        #expect(!ReceivedMessage(original.dropLast(2)).isUnchanged(original))
        #expect(!ReceivedMessage(original + Data("\r\n".utf8)).isUnchanged(original))
    }
}
