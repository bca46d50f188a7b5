import DNS
import Foundation
import Journeys
import MailMessage
import MailStore
import MailTesting
import NIOCore
import Testing

@testable import Gateway

/// What senders are told (RFC 3461, RFC 3464).
@Suite(.timeLimit(.minutes(3))) struct NoticeTests {
    @Test func aRefusalIsReported() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob")
                let (_, trace) = try await mail.enqueue(
                    to: "nobody@gmail.test", original: "rfc822;list@kartapuce.test", envelopeID: "QQ314159")
                #expect(try await mail.emptied())
                let text = try #require(try await mail.inbox("bob").first)
                #expect(text.hasPrefix("Return-Path: <>\r\n"))
                let notice = try ParsedNotice(text)
                #expect(notice.message.root.contentType.subtype == "report")
                #expect(notice.message.root.contentType.parameters["report-type"] == "delivery-status")
                #expect(
                    notice.message.from.entries.count == 1 && notice.message.header.first(named: "From")?.value.contains("postmaster@kartapuce.test") == true)
                #expect(notice.message.header.first(named: "Auto-Submitted")?.value == "auto-replied")
                #expect(notice.perMessage.first(named: "Original-Envelope-Id")?.value == "QQ314159")
                #expect(notice.perMessage.first(named: "Reporting-MTA")?.value == "dns; mail.kartapuce.test")
                #expect(notice.recipients.count == 1)
                #expect(notice.field("Original-Recipient") == "rfc822;list@kartapuce.test")
                #expect(notice.field("Final-Recipient") == "rfc822; nobody@gmail.test")
                #expect(notice.field("Action") == "failed")
                #expect(notice.field("Status") == "5.1.1")
                // RFC 3464 §2.3.5: the host that said so, not the key of our queue.
                #expect(notice.field("Remote-MTA") == "dns; mx.gmail.test")
                #expect(notice.field("Diagnostic-Code") == "smtp; 550 5.1.1 unknown")
                // The journey of the message leads to the one of the notice.
                let notified = try await mail.journey(trace).compactMap { event -> JourneyEvent.Notified? in
                    if case .notified(let notified) = event.operation { notified } else { nil }
                }
                #expect(notified.map(\.kind) == ["failed"] && notified.first?.notified == "bob@kartapuce.test")
                let other = try await mail.journey(try #require(notified.first?.notificationTrace)).map(\.operation.kind)
                #expect(other.contains("notified") && other.contains("delivered"))
            }
        }
    }

    /// One recipient gets it, one is refused, one must wait: each has its own fate, and the notice speaks of one.
    @Test func recipientsHaveTheirOwnFate() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob")
                let (id, _) = try await mail.enqueue(to: "tom@gmail.test", "nobody@gmail.test", "full@gmail.test")
                #expect(try await eventually { try await mail.inbox("bob").count == 1 })
                #expect(try await mail.spool.recipients(of: id).map { "\($0.recipient.address) \($0.attempts)" } == ["full@gmail.test 1"])
                let notice = try ParsedNotice(try #require(try await mail.inbox("bob").first))
                #expect(notice.recipients.map { $0.first(named: "Final-Recipient")?.value } == ["rfc822; nobody@gmail.test"])
                #expect(house.outside.record.messages.count == 1)
                // The one that waits is tried alone.
                mail.pass(100)
                _ = try await mail.tried(id, 2)
                #expect(house.outside.record.commands.filter { $0 == "RCPT TO:<tom@gmail.test>" }.count == 1)
                #expect(try await mail.inbox("bob").count == 1)
            }
        }
    }

    /// NOTIFY, what happens, and what the sender is told (RFC 3461 §4.1).
    static let wishes: [(DSNNotify?, String, String?)] = [
        (nil, "nobody@gmail.test", "failed"), (.never, "nobody@gmail.test", nil), (.success, "nobody@gmail.test", nil), (.delay, "nobody@gmail.test", nil),
        (.failure, "nobody@gmail.test", "failed"), ([.success, .failure], "nobody@gmail.test", "failed"),
        (nil, "jack@kartapuce.test", nil), (.success, "jack@kartapuce.test", "delivered"), (.never, "jack@kartapuce.test", nil),
        ([.failure, .delay], "jack@kartapuce.test", nil),
        // gmail.test's exchanger doesn't offer DSN: the duty ends here (RFC 3461 §5.2.2).
        (nil, "tom@gmail.test", nil), (.success, "tom@gmail.test", "relayed"), (.failure, "tom@gmail.test", nil),
        (nil, "gone@kartapuce.test", "failed"), (.success, "gone@kartapuce.test", nil),
    ]

    @Test func sendersAreToldWhatTheyAskFor() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob", "jack")
                var before = 0
                for (notify, recipient, told) in Self.wishes {
                    try await mail.enqueue(to: recipient, notify: notify)
                    #expect(try await mail.emptied())
                    let notices = try await mail.inbox("bob").dropFirst(before).map { try ParsedNotice($0) }
                    #expect(notices.map { $0.field("Action") } == (told.map { [$0] } ?? []), "\(recipient) \(String(describing: notify))")
                    if recipient == "gone@kartapuce.test", told != nil {
                        #expect(notices.first?.field("Status") == "5.1.1")
                        #expect(notices.first?.field("Remote-MTA") == nil)
                    }
                    before += notices.count
                }
            }
        }
    }

    /// A peer that offers DSN takes over the duty, with the wishes (RFC 3461 §5.2.1).
    @Test func aPeerWithDSNTakesOver() async throws {
        let offering = ScriptedServer.script(.init("EHLO", .say("250-mx.gmail.test\r\n250-PIPELINING\r\n250 DSN")))
        try await TestHouse.open(outside: [offering]) { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob")
                try await mail.enqueue(to: "tom@gmail.test", notify: [.success, .failure], envelopeID: "a+b", returns: .headers)
                #expect(try await mail.emptied())
                #expect(try await mail.inbox("bob").isEmpty)
                let said = house.outside.record.commands
                #expect(said.contains { $0.hasPrefix("MAIL FROM:<bob@kartapuce.test>") && $0.contains(" RET=HDRS") && $0.contains(" ENVID=a+2Bb") })
                #expect(said.contains { $0.hasPrefix("RCPT TO:<tom@gmail.test>") && $0.contains(" NOTIFY=SUCCESS,FAILURE") })
            }
        }
    }

    /// How much of the message comes back (RFC 3461 §4.3).
    @Test(arguments: [DSNReturn?.none, .headers, .full]) func theMessageComesBackAsAskedFor(returns: DSNReturn?) async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob")
                try await mail.enqueue(to: "nobody@gmail.test", returns: returns)
                #expect(try await mail.emptied())
                let notice = try ParsedNotice(try #require(try await mail.inbox("bob").first))
                let returned = try #require(notice.returned)
                #expect(returned.header.first(named: "Content-Type")?.value == (returns == .full ? "message/rfc822" : "text/rfc822-headers"))
                let text = String(buffer: returned.body)
                #expect(text.contains("Message-ID: <numbers@kartapuce.test>"))
                #expect(text.contains("The body of it") == (returns == .full))
            }
        }
    }

    /// RFC 8689 §5: what required TLS comes back by its header only.
    @Test func ofWhatRequiresTLSTheBodyStaysHere() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob")
                try await mail.enqueue(to: "nobody@gmail.test", returns: .full, requiresTLS: true)
                #expect(try await mail.emptied())
                let text = try #require(try await mail.inbox("bob").first)
                #expect(try ParsedNotice(text).returned?.header.first(named: "Content-Type")?.value == "text/rfc822-headers")
                #expect(!text.contains("The body of it"))
            }
        }
    }

    /// A message of more than a mebibyte isn't sent back as a whole.
    @Test func aLargeMessageComesBackByItsHeader() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob")
                let large = TestHost.sample + String(repeating: String(repeating: "x", count: 70) + "\r\n", count: 20_000)
                try await mail.enqueue(to: "nobody@gmail.test", returns: .full, text: large)
                #expect(try await mail.emptied())
                let text = try #require(try await mail.inbox("bob").first)
                #expect(text.utf8.count < 10_000)
                #expect(try ParsedNotice(text).returned?.header.first(named: "Content-Type")?.value == "text/rfc822-headers")
            }
        }
    }

    @Test(arguments: [DSNNotify?.none, .failure, .delay]) func aDelayIsToldOnce(notify: DSNNotify?) async throws {
        try await TestHouse.open { house in
            try await house.withHost(change: { $0.queue.retrySeconds = [3600] }) { mail in
                try await mail.addUsers("bob")
                let (id, _) = try await mail.enqueue(to: "full@gmail.test", notify: notify)
                for attempt in 1...7 {
                    _ = try await mail.tried(id, attempt)
                    let hours = Double(attempt - 1) * 1.2
                    let isDue = hours >= 4 && notify != .failure
                    #expect(try await eventually { try await mail.inbox("bob").count == (isDue ? 1 : 0) })
                    mail.pass(1.2 * 3600)
                }
                guard notify != .failure else { return }
                let notice = try ParsedNotice(try #require(try await mail.inbox("bob").first))
                #expect(notice.field("Action") == "delayed")
                #expect(notice.field("Status") == "4.2.2")
                let until = try #require(notice.field("Will-Retry-Until").flatMap { MessageDate(parsing: Array($0.utf8)) })
                #expect("\(until)" == "\(MessageDate(try #require(try await mail.spool.message(id)).arrival.addingTimeInterval(5 * 86_400)))")
            }
        }
    }

    @Test(arguments: ["full@gmail.test", "tom@down.test"]) func whatExpiresIsReported(recipient: String) async throws {
        try await TestHouse.open { house in
            try await house.withHost(change: { $0.queue.delayWarningSeconds = 10_000_000 }) { mail in
                try await mail.addUsers("bob")
                let (id, _) = try await mail.enqueue(to: recipient)
                _ = try await mail.tried(id, 1)
                mail.pass(5 * 86_400 - 1)
                _ = try await mail.tried(id, 2)
                #expect(try await mail.inbox("bob").isEmpty)
                mail.pass(86_400)
                #expect(try await mail.emptied())
                let notice = try ParsedNotice(try #require(try await mail.inbox("bob").first))
                #expect(notice.field("Action") == "failed")
                #expect(notice.field("Status")?.hasPrefix("4.") == true)
                #expect(notice.field("Remote-MTA") == (recipient == "full@gmail.test" ? "dns; mx.gmail.test" : nil))
            }
        }
    }

    /// RFC 5321 §4.5.5: nobody is told of what has the null reverse-path; the journey says so.
    @Test func theNullReversePathIsNeverWrittenTo() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                let (_, trace) = try await mail.enqueue(from: nil, to: "nobody@gmail.test", notify: [.success, .failure])
                #expect(try await mail.emptied())
                #expect(house.outside.taken.isEmpty)
                let notified = try await mail.journey(trace).compactMap { event -> JourneyEvent.Notified? in
                    if case .notified(let notified) = event.operation { notified } else { nil }
                }
                #expect(notified.count == 1 && notified.first?.notified == nil && notified.first?.reason == "the reverse-path is null")
            }
        }
    }

    /// A notice that can't be delivered causes no other one.
    @Test func aNoticeHasNoNotice() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("jack")
                try await mail.enqueue(from: "nobody@gmail.test", to: "gone@kartapuce.test")
                #expect(try await mail.emptied())
                #expect(house.outside.record.commands.filter { $0.hasPrefix("MAIL") } == ["MAIL FROM:<>"])
                #expect(house.outside.taken.isEmpty)
            }
        }
    }

    /// The edge tells nobody: what it can't deliver waits for an operator.
    @Test func theEdgeHolds() async throws {
        try await TestHouse.open(outside: [ScriptedServer.script(.init("RCPT", .sayAndClose("550 5.1.1 nobody here")))]) { house in
            let change = { (configuration: inout Configuration) in
                var route = Configuration.Route()
                (route.host, route.address, route.port, route.security) = ("lists.kartapuce.test", .v4(0x7f00_0001), house.outside.port, .plain)
                configuration.routes["lists.kartapuce.test"] = route
            }
            try await house.withHost("mx", roles: [.mx], change: change) { mx in
                let id = try await mx.spool.enqueue(
                    NewSpoolMessage(
                        trace: .random(), envelope: Envelope(reversePath: EmailAddress(localPart: "tom", domain: "gmail.test")),
                        routes: [
                            // The store doesn't answer for long; and a destination that refuses for good.
                            (EnvelopeRecipient(address: EmailAddress(localPart: "bob", domain: "kartapuce.test")), "link:store"),
                            (EnvelopeRecipient(address: EmailAddress(localPart: "list", domain: "lists.kartapuce.test")), "route:lists.kartapuce.test"),
                        ], prefix: ByteBuffer(), content: BufferedContent(ByteBuffer(string: TestHost.sample)), arrival: mx.clock.now), journey: [])
                mx.queue.wake()
                _ = try await mx.tried(id, 1)
                let first = try await mx.spool.recipients(of: id)
                #expect(first.map(\.state) == [.queued, .held])
                #expect(first.last?.holdReason?.contains("5.1.1 nobody") == true)
                mx.pass(6 * 86_400)
                #expect(try await eventually { try await mx.spool.counts() == (queued: 0, held: 2) })
                #expect(try await mx.spool.recipients(of: id).first?.holdReason?.contains("expired") == true)
                #expect(house.outside.record.connections == 1)
            }
        }
    }

    // MARK: - Aliases

    /// To one address elsewhere: all wishes go on, nothing is told here (RFC 3461 §5.2.7.2).
    @Test func anAliasForOneAddressIsSilent() async throws {
        let offering = ScriptedServer.script(.init("EHLO", .say("250-mx.gmail.test\r\n250-PIPELINING\r\n250 DSN")))
        try await TestHouse.open(outside: [offering]) { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob")
                try await mail.setAlias("sales@kartapuce.test", "tom@gmail.test")
                let (_, trace) = try await mail.enqueue(to: "sales@kartapuce.test", notify: .success, envelopeID: "E1")
                #expect(try await mail.emptied())
                #expect(try await mail.inbox("bob").isEmpty)
                let said = house.outside.record.commands
                #expect(
                    said.contains {
                        $0.hasPrefix("RCPT TO:<tom@gmail.test>") && $0.contains("NOTIFY=SUCCESS") && $0.contains("ORCPT=rfc822;sales@kartapuce.test")
                    })
                #expect(said.contains { $0.hasPrefix("MAIL FROM:<bob@kartapuce.test>") && $0.contains("ENVID=E1") })
                // One journey: the alias and what came of it.
                #expect(
                    try await mail.journey(trace).map(\.operation.kind).filter { ["routed", "attempted"].contains($0) } == ["routed", "attempted", "attempted"])
            }
        }
    }

    /// To several: told as expanded, and the successes behind it are not told any more (RFC 3461 §5.2.7.3).
    @Test func anAliasForSeveralIsExpanded() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob", "jack")
                try await mail.setAlias("sales@kartapuce.test", "jack@kartapuce.test", "tom@gmail.test")
                try await mail.enqueue(to: "sales@kartapuce.test", notify: [.success, .failure])
                #expect(try await mail.emptied())
                #expect(try await mail.inbox("jack").count == 1)
                #expect(house.outside.record.messages.count == 1)
                let notices = try await mail.inbox("bob").map { try ParsedNotice($0) }
                #expect(notices.map { $0.field("Action") } == ["expanded"])
                #expect(notices.first?.field("Final-Recipient") == "rfc822; sales@kartapuce.test")
            }
        }
    }

    /// All of an alias or none: what can't go on is found before anything is in a mailbox.
    @Test func anAliasWithoutAWayDeliversNothing() async throws {
        try await TestHouse.open { house in
            try await house.withHost(roles: [.store]) { store in
                try await store.addUsers("bob", "jack")
                try await store.setAlias("sales@kartapuce.test", "jack@kartapuce.test", "tom@gmail.test")
                try await store.enqueue(to: "sales@kartapuce.test")
                #expect(try await store.emptied())
                #expect(try await store.inbox("jack").isEmpty)
                #expect(try ParsedNotice(try #require(try await store.inbox("bob").first)).field("Status") == "5.7.1")
            }
        }
    }
}
