import Foundation
import MailMessage
import NIOCore
import Testing

@Suite("Written header fields")
struct HeaderWriterTests {
    @Test(
        "are folded, encoded and read back",
        arguments: [
            "Hello", "Grüße aus Köln", "日本語のとても長い件名はいくつもの符号化語に分けられなければならない、そして再び一つになる", "a =?utf-8?q?trick?= b",
            String(repeating: "word ", count: 60) + "end", "é",
            "mixed ascii and one € sign in a rather long subject that does not fit into one line at all",
        ]
    )
    func unstructured(text: String) throws {
        var writer = HeaderWriter()
        writer.unstructured("Subject", text)
        writer.endSection()
        let written = String(buffer: writer.buffer)
        #expect(written.utf8.allSatisfy { $0 < 0x80 })
        for line in written.components(separatedBy: "\r\n") { #expect(line.utf8.count <= 78) }
        #expect(HeaderSection(parsing: writer.buffer).first(named: "Subject")?.decodedText == text)
    }

    @Test("with a word that is no line any more come back whole", arguments: [false, true]) func endlessWord(allowsUTF8: Bool) {
        let text = "x " + String(repeating: "A", count: 5000)
        var writer = HeaderWriter(allowsUTF8: allowsUTF8)
        writer.unstructured("Subject", text)
        writer.endSection()
        for line in String(buffer: writer.buffer).components(separatedBy: "\r\n") { #expect(line.utf8.count <= 998) }
        #expect(HeaderSection(parsing: writer.buffer).first(named: "Subject")?.decodedText == text)
    }

    @Test("names with a word that is no line any more come back whole", arguments: ["A", "\"", "A."], [false, true])
    func endlessName(letter: String, allowsUTF8: Bool) {
        let name = "x " + String(repeating: letter, count: 2500)
        var writer = HeaderWriter(allowsUTF8: allowsUTF8)
        writer.addresses("To", [HeaderMailbox(writtenDisplayName: name, localPart: "bob", domain: "kartapuce.test")])
        writer.endSection()
        for line in String(buffer: writer.buffer).components(separatedBy: "\r\n") { #expect(line.utf8.count <= 998) }
        let field = HeaderSection(parsing: writer.buffer).first(named: "To")
        #expect(field.flatMap { AddressList(parsing: $0.unfoldedOctets).mailboxes.first?.displayName } == name)
    }

    @Test("keep UTF-8 where they may") func utf8() {
        var writer = HeaderWriter(allowsUTF8: true)
        writer.unstructured("Subject", "Grüße")
        writer.addresses("To", [HeaderMailbox(writtenDisplayName: "Jörg", localPart: "jörg", domain: "x.test")])
        #expect(String(buffer: writer.buffer) == "Subject: Grüße\r\nTo: Jörg <jörg@x.test>\r\n")
    }

    /// Readers let an encoded-word have blanks and commas, so that it would go on into the next address.
    @Test("an address that looks like an encoded-word stays an address") func addressLikeAnEncodedWord() {
        let locals = ["=?utf-8?q?T", "AAAA?=?a?q?4?ta", "tom"]
        var writer = HeaderWriter()
        writer.addresses("To", locals.map { HeaderMailbox(writtenDisplayName: nil, localPart: $0, domain: "gmail.test") })
        #expect(String(buffer: writer.buffer) == "To: \"=?utf-8?q?T\"@gmail.test, \"AAAA?=?a?q?4?ta\"@gmail.test, tom@gmail.test\r\n")
        let field = HeaderSection(parsing: writer.buffer).first(named: "To")
        #expect(field.map { AddressList(parsing: $0.unfoldedOctets).mailboxes.compactMap(\.address?.localPart) } == locals)
    }

    /// Swift takes a blank and the combining mark behind it for one character; on the line they are two.
    @Test("are folded at each blank") func blankWithCombiningMark() {
        var writer = HeaderWriter(allowsUTF8: true)
        writer.unstructured("Subject", "a  \u{07A7}")
        writer.structured("X", "b  \u{0301}c")
        #expect(writer.buffer == ByteBuffer(string: "Subject: a \u{07A7}\r\nX: b \u{0301}c\r\n"))
    }

    @Test("cannot be broken out of") func injection() {
        var writer = HeaderWriter()
        writer.unstructured("Subject", "a\r\nBcc: x@y.test\n\n\u{2028}body")
        writer.structured("X-\r\nEvil: ", "v\r\n\r\nbody")
        writer.structured("X-Long", String(repeating: "x", count: 5000))
        writer.addresses(
            "To",
            [HeaderMailbox(writtenDisplayName: "E\r\nvil \"q\"", localPart: "a\r\nb", domain: "x.test\r\nC: d")]
        )
        writer.endSection()
        let header = HeaderSection(parsing: writer.buffer)
        #expect(header.map(\.name) == ["Subject", "X-Evil", "X-Long", "To"])
        #expect(header.range.upperBound == writer.buffer.readableBytes)
        #expect(!header.deviations.contains { $0.code == .lineTooLong })
    }

    @Test(
        "names are quoted or encoded",
        arguments: [
            ("Bob Smith", "To: Bob Smith <b@x.test>\r\n"), ("Smith, Bob", "To: \"Smith, Bob\" <b@x.test>\r\n"),
            ("Bob \"Q\" \\", "To: \"Bob \\\"Q\\\" \\\\\" <b@x.test>\r\n"),
            ("Jörg", "To: =?utf-8?b?SsO2cmc=?= <b@x.test>\r\n"),
        ]
    )
    func names(name: String, written: String) {
        var writer = HeaderWriter()
        writer.addresses("To", [HeaderMailbox(writtenDisplayName: name, localPart: "b", domain: "x.test")])
        #expect(String(buffer: writer.buffer) == written)
        #expect(
            HeaderSection(parsing: writer.buffer).first.map {
                AddressList(parsing: $0.unfoldedOctets).mailboxes.first?.displayName
            } == name
        )
    }

    @Test("Received says who, how and when") func received() {
        let date = MessageDate(Date(timeIntervalSince1970: 1_795_468_743))
        let field = ReceivedField(
            helo: "client.gmail.test",
            clientName: "mx1.gmail.test",
            clientAddress: "192.0.2.1",
            by: "mail.kartapuce.test",
            software: "Postern",
            with: ReceivedField.protocolName(usesTLS: true),
            tls: "using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256",
            id: "7f3a",
            recipient: EmailAddress(localPart: "jack", domain: "kartapuce.test"),
            date: date
        )
        #expect(
            String(buffer: field.serialized())
                == "Received: from client.gmail.test (mx1.gmail.test [192.0.2.1])\r\n (using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256)\r\n"
                + " by mail.kartapuce.test (Postern) with ESMTPS id 7f3a\r\n for <jack@kartapuce.test>; Mon, 23 Nov 2026 21:19:03 +0000\r\n"
        )
        let hostile = ReceivedField(
            helo: "a\r\nb (c)",
            clientAddress: "2001:db8::1",
            by: "h",
            with: "SMTP\r\n",
            tls: "x) by evil (",
            id: "a;b",
            date: date
        )
        #expect(
            String(buffer: hostile.serialized())
                == "Received: from a__b__c_ ([IPv6:2001:db8::1])\r\n (x by evil )\r\n by h with SMTP id ab; Mon, 23 Nov 2026 21:19:03 +0000\r\n"
        )
    }

    @Test("protocol names are those of RFC 3848 and 6531") func protocolNames() {
        #expect(ReceivedField.protocolName(isExtended: false) == "SMTP")
        #expect(ReceivedField.protocolName() == "ESMTP")
        #expect(ReceivedField.protocolName(usesTLS: true, isAuthenticated: true) == "ESMTPSA")
        #expect(ReceivedField.protocolName(isLMTP: true, usesTLS: true) == "LMTPS")
        #expect(ReceivedField.protocolName(usesTLS: true, usesSMTPUTF8: true) == "UTF8SMTPS")
    }
}

@Suite("Delivery status notifications of RFC 3464")
struct DeliveryStatusNotificationTests {
    static let date = MessageDate(Date(timeIntervalSince1970: 1_795_468_743))

    @Test("nothing of an empty message is returned", arguments: [DSNReturn.full, .headers]) func emptyOriginal(returns: DSNReturn) {
        let report = Message(parsing: Self.notification(.failed, original: "", returns: returns, diagnostic: "").serialized())
        #expect(report.root.children.count == 2)
        #expect(report.header.deviations.isEmpty)
    }

    @Test("doesn't refer to an identifier that its own header can't carry") func identifierBeyondASCII() {
        let original = "From: bob@kartapuce.test\r\nMessage-ID: <1@gmäil.test>\r\n\r\nbody\r\n"
        let report = Message(parsing: Self.notification(.failed, original: original).serialized())
        #expect(report.header.deviations.isEmpty)
        #expect(report.header.first(named: "In-Reply-To") == nil && report.header.first(named: "References") == nil)
    }

    static func notification(
        _ kind: DeliveryStatusNotification.Kind,
        recipient: EmailAddress = EmailAddress(localPart: "tom", domain: "gmail.test"),
        original: String = "From: bob@kartapuce.test\r\nMessage-ID: <1@kartapuce.test>\r\nSubject: Hi\r\n\r\nbody\r\n",
        returns: DSNReturn = .full,
        diagnostic: String = "550 5.1.1 No such user"
    ) -> DeliveryStatusNotification {
        DeliveryStatusNotification(
            kind: kind,
            reportingMTA: "smtp.kartapuce.test",
            arrival: date,
            envelopeID: "QQ314159",
            recipients: [
                .init(
                    finalRecipient: recipient,
                    originalRecipient: "rfc822;Tom@gmail.test",
                    status: EnhancedStatusCode(kind == .delayed ? 4 : 5, 1, 1),
                    remoteMTA: "mx.gmail.test",
                    diagnostic: diagnostic,
                    lastAttempt: date,
                    willRetryUntil: date
                )
            ],
            original: ByteBuffer(string: original),
            returns: returns,
            from: EmailAddress(localPart: "postmaster", domain: "kartapuce.test"),
            to: EmailAddress(localPart: "bob", domain: "kartapuce.test"),
            date: date,
            messageID: "2@kartapuce.test",
            boundary: "b0undary"
        )
    }

    @Test("are multipart/report with text, status and the message") func failure() throws {
        let read = Message(parsing: DeliveryStatusNotificationTests.notification(.failed).serialized())
        #expect(read.deviations.isEmpty, "\(read.deviations)")
        #expect(read.root.contentType.mediaType == "multipart/report")
        #expect(read.root.contentType.parameters["report-type"] == "delivery-status")
        #expect(
            read.root.children.map(\.contentType.mediaType) == [
                "text/plain", "message/delivery-status", "message/rfc822",
            ]
        )
        #expect(read.to.mailboxes.first?.address?.description == "bob@kartapuce.test")
        #expect(read.inReplyTo == ["<1@kartapuce.test>"])
        #expect(read.header.first(named: "Auto-Submitted")?.value == "auto-replied")
        let text = try #require(read.part(at: [1])?.text())
        #expect(text.contains("<tom@gmail.test>"))
        #expect(text.contains("There is no mailbox with this address."))
        #expect(text.contains("550 5.1.1 No such user"))
        let status = try #require(read.part(at: [2])).body
        #expect(
            String(buffer: status)
                == "Original-Envelope-Id: QQ314159\r\nReporting-MTA: dns; smtp.kartapuce.test\r\nArrival-Date: Mon, 23 Nov 2026 21:19:03 +0000\r\n\r\n"
                + "Original-Recipient: rfc822;Tom@gmail.test\r\nFinal-Recipient: rfc822; tom@gmail.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"
                + "Remote-MTA: dns; mx.gmail.test\r\nDiagnostic-Code: smtp; 550 5.1.1 No such user\r\nLast-Attempt-Date: Mon, 23 Nov 2026 21:19:03 +0000\r\n"
        )
        #expect(read.part(at: [3])?.nestedMessage.map { String(buffer: $0.body) } == "body\r\n")
    }

    @Test(
        "return the header alone unless the whole is due",
        arguments: [
            (DeliveryStatusNotification.Kind.failed, DSNReturn.headers), (.delayed, .full), (.delivered, .full),
            (.relayed, .headers), (.expanded, .full),
        ]
    )
    func headers(kind: DeliveryStatusNotification.Kind, returns: DSNReturn) {
        let read = Message(parsing: DeliveryStatusNotificationTests.notification(kind, returns: returns).serialized())
        let last = read.root.children.last
        #expect(last?.contentType.mediaType == "text/rfc822-headers")
        #expect(
            last.map { String(buffer: $0.body) }
                == "From: bob@kartapuce.test\r\nMessage-ID: <1@kartapuce.test>\r\nSubject: Hi\r\n"
        )
        let status = read.part(at: [2]).map { String(buffer: $0.body) } ?? ""
        #expect(status.contains("Action: \(kind.rawValue)\r\n"))
        #expect(status.contains("Will-Retry-Until:") == (kind == .delayed))
    }

    @Test("use the types of RFC 6533 for UTF-8") func international() throws {
        let notification = DeliveryStatusNotificationTests.notification(
            .failed,
            recipient: EmailAddress(localPart: "jörg", domain: "x.test"),
            original: "Subject: Grüße\r\n\r\nbody\r\n"
        )
        let read = Message(parsing: notification.serialized())
        #expect(
            read.root.children.map(\.contentType.mediaType) == [
                "text/plain", "message/global-delivery-status", "message/global",
            ]
        )
        #expect(
            read.part(at: [2]).map { String(buffer: $0.body).contains("Final-Recipient: utf-8; jörg@x.test\r\n") }
                == true
        )
        #expect(read.part(at: [2])?.transferEncoding == .eightBit)
        #expect(read.part(at: [2])?.contentType.parameters.isEmpty == true)
        #expect(notification.message().bodyType == .eightBitMIME)
        #expect(!notification.needsSMTPUTF8)
        #expect(DeliveryStatusNotificationTests.notification(.failed).message().bodyType == .sevenBit)
    }

    @Test("need no SMTPUTF8 because of the message's identity", arguments: [("<1@gm\u{e9}ail.test>", false), ("<1@gmail.test>", true)])
    func identity(messageID: String, isReferred: Bool) {
        let notification = DeliveryStatusNotificationTests.notification(.failed, original: "Message-ID: \(messageID)\r\n\r\nbody\r\n")
        let read = Message(parsing: notification.serialized())
        #expect(!notification.needsSMTPUTF8)
        #expect(read.header.deviations.isEmpty, "\(read.header.deviations)")
        #expect(read.inReplyTo.first == (isReferred ? messageID : nil))
        #expect((read.references.first != nil) == isReferred)
    }

    @Test("survive hostile peers and messages") func hostile() {
        let boundary = "--postern-b0undary"
        let original = "Subject: x\r\n\r\n\(boundary)\r\n\(boundary)-1--\r\nend\r\n"
        let read = Message(
            parsing: DeliveryStatusNotificationTests.notification(
                .failed,
                original: original,
                diagnostic: "550 é\r\nFinal-Recipient: rfc822; a@b.test\r\n\r\n" + String(repeating: "x", count: 9000)
            ).serialized()
        )
        #expect(read.root.children.count == 3)
        #expect(read.part(at: [3]).map { String(buffer: $0.body) } == original)
        let status = read.part(at: [2]).map { String(buffer: $0.body) } ?? ""
        #expect(status.components(separatedBy: "\r\nFinal-Recipient:").count == 2)
        #expect(status.utf8.allSatisfy { $0 < 0x80 })
        for line in String(buffer: read.octets).components(separatedBy: "\r\n") { #expect(line.utf8.count <= 998) }
        let binary = Message(
            parsing: DeliveryStatusNotificationTests.notification(.failed, original: "Subject: x\n\nbare\n.\nlines\n")
                .serialized()
        )
        #expect(binary.root.children.last.map { String(buffer: $0.body) } == "Subject: x\r\n")
    }
}
