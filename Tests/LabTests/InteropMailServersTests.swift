import Foundation
import Testing

@testable import Lab

extension InteropPeersTests {
    /// Mail from Postern's relay to servers of other makes.
    @Suite struct InteropToMailServersTests {
        @Test(arguments: PeerKind.allCases)
        func fiveMegabytesBySTARTTLSWhereThePeerCan(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let recipient = "alice@\(exchange.neighbour.domain)"
            let message = SampleMessage.make(
                .init(from: Kartapuce.bob.user, to: recipient, subject: "big", seed: kind.seed(900), attachmentBytes: 3_900_000)
            )
            try await exchange.submitAsBob(message.content, .init(sender: Kartapuce.bob.user, recipients: [recipient]))
            let arrived = try await exchange.expectAtPeer("alice", containing: message.messageID)
            #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)

            let destination = "by mx:\(exchange.neighbour.domain)"
            let lines = try await exchange.evidence(of: message.messageID, at: "smtp", until: "delivered \(destination)")
            let isSecured = lines.contains { $0.hasPrefix("secured TLSv1.3") && $0.contains(exchange.neighbour.host) }
            #expect(isSecured == kind.hasTLSServer, "\(lines)")
            if !kind.hasTLSServer { #expect(lines.contains { $0.contains("trying again in plain text") }, "\(lines)") }
            #expect(lines.contains { $0.hasPrefix("→ BDAT") } == kind.hasChunking, "\(lines)")
            #expect(lines.contains { $0.hasPrefix("→ DATA") } == !kind.hasChunking, "\(lines)")
        }

        @Test(arguments: PeerKind.allCases)
        func awkwardLinesInPlainText(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let recipient = "alice@\(exchange.neighbour.plainDomain)"
            let message = AwkwardMessage.make(from: Kartapuce.bob.user, to: recipient, identity: "<awkward-\(kind)@kartapuce.test>")
            try await exchange.submitAsBob(
                message.content,
                .init(sender: Kartapuce.bob.user, recipients: [recipient], mailOptions: ["BODY=8BITMIME"])
            )
            let arrived = try await exchange.expectAtPeer("alice", containing: message.messageID)
            #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
            let lines = try await exchange.evidence(of: message.messageID, at: "smtp", until: "delivered by mx:\(exchange.neighbour.plainDomain)")
            #expect(!lines.contains { $0.hasPrefix("secured") && $0.contains(exchange.neighbour.host) }, "\(lines)")
            #expect(lines.contains { $0.hasPrefix("→ MAIL") && $0.contains("BODY=8BITMIME") }, "\(lines)")
        }

        @Test(arguments: PeerKind.allCases)
        func internationalAddresses(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let recipient = "rené@\(exchange.neighbour.domain)"
            let identity = "<international-\(kind)@kartapuce.test>"
            let message = AwkwardMessage.international(from: Kartapuce.bob.user, to: recipient, identity: identity)
            try await exchange.submitAsBob(
                message.content,
                .init(sender: Kartapuce.bob.user, recipients: [recipient], mailOptions: ["BODY=8BITMIME", "SMTPUTF8"])
            )
            if kind.hasSMTPUTF8 {
                let arrived = try await exchange.expectAtPeer("rené", containing: identity)
                #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
            } else {
                // RFC 6531 §3.2: it can't be handed on, and the sender is told why.
                let notice = try await exchange.expectNoticeForBob(about: identity)
                #expect(notice.contains("5.6.7"), "\(notice)")
            }
        }

        @Test(arguments: PeerKind.allCases)
        func refusedAmongAccepted(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let domain = exchange.neighbour.domain
            let message = SampleMessage.make(
                .init(from: Kartapuce.bob.user, to: "alice@\(domain)", subject: "some", seed: kind.seed(901), attachmentBytes: 2000))
            let recipients = ["alice@\(domain)", "nobody@\(domain)", "dave@\(domain)"]
            try await exchange.submitAsBob(message.content, .init(sender: Kartapuce.bob.user, recipients: recipients))
            for user in ["alice", "dave"] {
                let arrived = try await exchange.expectAtPeer(user, containing: message.messageID)
                #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
            }
            let notice = try await exchange.expectNoticeForBob(about: message.messageID)
            #expect(notice.contains("Final-Recipient: rfc822; nobody@\(domain)") || notice.contains("Final-Recipient: rfc822;nobody@\(domain)"), "\(notice)")
            #expect(notice.contains("Action: failed"), "\(notice)")
            #expect(!notice.contains("alice@\(domain)\r\nAction") && !notice.contains("dave@\(domain)\r\nAction"), "\(notice)")
            // Exim logs `L` for a client that pipelined, `L-` for one that didn't, with a dot between for an unused PIPECONNECT.
            if kind == .exim { #expect(exchange.logLine(containing: message.messageID.dropFirst().dropLast(), "<=").contains(" L. ")) }
            #expect(try exchange.peer.files.messages(of: "alice").count { $0.range(of: Data(message.messageID.utf8)) != nil } == 1)
        }

        @Test(arguments: PeerKind.allCases)
        func greylistingIsWaitedFor(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let recipient = "grey@\(exchange.neighbour.domain)"
            let message = SampleMessage.make(.init(from: Kartapuce.bob.user, to: recipient, subject: "grey", seed: kind.seed(902), attachmentBytes: 2000))
            try exchange.peer.files.greylist(true)
            try await exchange.submitAsBob(message.content, .init(sender: Kartapuce.bob.user, recipients: [recipient]))
            _ = try await exchange.evidence(of: message.messageID, at: "smtp", until: "deferred by mx:\(exchange.neighbour.domain)")
            #expect(try exchange.peer.files.messages(of: "grey").isEmpty)
            try exchange.peer.files.greylist(false)
            let arrived = try await exchange.expectAtPeer("grey", containing: message.messageID)
            #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
        }

        @Test(arguments: PeerKind.allCases)
        func thePeerTellsSuccess(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let recipient = "tom@\(exchange.neighbour.domain)"
            let message = SampleMessage.make(.init(from: Kartapuce.bob.user, to: recipient, subject: "success", seed: kind.seed(903), attachmentBytes: 2000))
            try await exchange.submitAsBob(
                message.content,
                .init(
                    sender: Kartapuce.bob.user,
                    recipients: [recipient],
                    mailOptions: ["RET=HDRS", "ENVID=QQ314159-\(kind)"],
                    recipientOptions: ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;\(recipient)"]
                )
            )
            let notice = try await exchange.expectNoticeForBob(about: message.messageID)
            // OpenSMTPD takes ENVID and ORCPT, and says neither again.
            let hasIdentity = notice.lowercased().contains("original-envelope-id: qq314159-\(kind)")
            #expect(hasIdentity == (kind != .opensmtpd), "\(notice)")
            #expect(notice.lowercased().contains("action: delivered"), "\(notice)")
            #expect(notice.contains(exchange.neighbour.host), "the notice is the peer's own: \(notice)")
            let lines = try await exchange.evidence(of: message.messageID, at: "smtp", until: "delivered by")
            #expect(lines.contains { $0.hasPrefix("→ RCPT") && $0.contains("NOTIFY=SUCCESS,FAILURE") }, "\(lines)")
        }

        @Test(arguments: PeerKind.allCases)
        func aRouteLeadsToASmartHost(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let recipient = "alice@\(exchange.neighbour.routedDomain)"
            let message = SampleMessage.make(.init(from: Kartapuce.bob.user, to: recipient, subject: "routed", seed: kind.seed(904), attachmentBytes: 50_000))
            try await exchange.submitAsBob(message.content, .init(sender: Kartapuce.bob.user, recipients: [recipient]))
            let arrived = try await exchange.expectAtPeer("alice", containing: message.messageID)
            #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
            let destination = "delivered by route:\(exchange.neighbour.routedDomain)"
            let lines = try await exchange.evidence(of: message.messageID, at: "smtp", until: destination)
            let isVerified = lines.contains { $0.hasPrefix("secured TLSv1.3 verified") && $0.contains(exchange.neighbour.host) }
            #expect(isVerified == kind.hasTLSServer, "\(lines)")
        }
    }

    /// Mail from servers of other makes to Postern.
    @Suite struct InteropFromMailServersTests {
        @Test(arguments: PeerKind.allCases)
        func fiveMegabytesBySTARTTLS(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let sender = "tom@\(exchange.neighbour.domain)"
            let message = SampleMessage.make(.init(from: sender, to: Kartapuce.bob.user, subject: "big", seed: kind.seed(910), attachmentBytes: 3_900_000))
            try await exchange.submitAtPeer(message.content, .init(sender: sender, recipients: [Kartapuce.bob.user]))
            let arrived = try await exchange.expectForBob(message.messageID)
            #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
            let lines = try await exchange.evidence(of: message.messageID, at: "mail", until: "← RCPT")
            #expect(lines.contains { $0.hasPrefix("secured TLSv1.3") && $0.contains(exchange.neighbour.address) }, "\(lines)")
            if kind == .exim {
                let line = exchange.logLine(containing: "\(Kartapuce.bob.user)", "=>")
                #expect(line.contains("CV=dane") && line.contains(" L") && !line.contains(" L-"), "verified and pipelined: \(line)")
            }
            // Of the three only Exim sends by BDAT.
            #expect(lines.contains { $0.hasPrefix("← BDAT") } == (kind == .exim), "\(lines)")
        }

        @Test(arguments: PeerKind.allCases)
        func awkwardLines(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let sender = "tom@\(exchange.neighbour.plainDomain)"
            let identity = "<awkward-back-\(kind)@\(exchange.neighbour.domain)>"
            let message = AwkwardMessage.make(from: sender, to: Kartapuce.bob.user, identity: identity)
            try await exchange.submitAtPeer(message.content, .init(sender: sender, recipients: [Kartapuce.bob.user], mailOptions: ["BODY=8BITMIME"]))
            let arrived = try await exchange.expectForBob(identity)
            #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
            let lines = try await exchange.evidence(of: identity, at: "mail", until: "← RCPT")
            // OpenSMTPD can't be told to do without TLS for some senders.
            #expect(lines.contains { $0.hasPrefix("secured") && $0.contains(exchange.neighbour.address) } == (kind == .opensmtpd), "\(lines)")
        }

        @Test(arguments: PeerKind.allCases.filter(\.hasSMTPUTF8))
        func internationalSender(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let sender = "rené@\(exchange.neighbour.domain)"
            let identity = "<international-back-\(kind)@\(exchange.neighbour.domain)>"
            let message = AwkwardMessage.international(from: sender, to: Kartapuce.bob.user, identity: identity)
            try await exchange.submitAtPeer(
                message.content,
                .init(sender: sender, recipients: [Kartapuce.bob.user], mailOptions: ["BODY=8BITMIME", "SMTPUTF8"])
            )
            let arrived = try await exchange.expectForBob(identity)
            #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
            let lines = try await exchange.evidence(of: identity, at: "mail", until: "← RCPT")
            #expect(lines.contains { $0.hasPrefix("← MAIL") && $0.contains("SMTPUTF8") }, "\(lines)")
        }

        @Test(arguments: PeerKind.allCases)
        func thePeerTellsItsUserWhoWasRefused(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let sender = "tom@\(exchange.neighbour.domain)"
            let message = SampleMessage.make(.init(from: sender, to: Kartapuce.bob.user, subject: "some", seed: kind.seed(911), attachmentBytes: 2000))
            let recipients = [Kartapuce.bob.user, "nobody-\(kind)@kartapuce.test", Kartapuce.jack.user]
            try await exchange.submitAtPeer(message.content, .init(sender: sender, recipients: recipients))
            try await exchange.expectForBob(message.messageID)
            let notice = String(decoding: try await exchange.expectAtPeer("tom", containing: "nobody-\(kind)@kartapuce.test"), as: UTF8.self)
            #expect(notice.contains("5.1.1"), "\(notice)")
            #expect(notice.contains(message.messageID), "\(notice)")
        }

        @Test(arguments: PeerKind.allCases)
        func nullReversePath(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let message = SampleMessage.make(
                .init(from: "mailer-daemon@\(exchange.neighbour.domain)", to: Kartapuce.bob.user, subject: "null", seed: kind.seed(912), attachmentBytes: 2000)
            )
            try await exchange.submitAtPeer(message.content, .init(sender: "", recipients: [Kartapuce.bob.user]))
            let arrived = try await exchange.expectForBob(message.messageID)
            #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
            #expect(String(decoding: arrived.prefix(200), as: UTF8.self).contains("Return-Path: <>"))
        }

        @Test(arguments: PeerKind.allCases)
        func oursTellsSuccess(kind: PeerKind) async throws {
            let exchange = try PeersRunning.exchange(with: kind)
            let sender = "tom@\(exchange.neighbour.domain)"
            let message = SampleMessage.make(.init(from: sender, to: Kartapuce.bob.user, subject: "success", seed: kind.seed(913), attachmentBytes: 2000))
            try await exchange.submitAtPeer(
                message.content,
                .init(
                    sender: sender,
                    recipients: [Kartapuce.bob.user],
                    mailOptions: ["RET=HDRS", "ENVID=back-\(kind)"],
                    recipientOptions: ["NOTIFY=SUCCESS", "ORCPT=rfc822;\(Kartapuce.bob.user)"]
                )
            )
            try await exchange.expectForBob(message.messageID)
            let notice = String(decoding: try await exchange.expectAtPeer("tom", containing: "Original-Envelope-Id: back-\(kind)"), as: UTF8.self)
            // Not every peer writes the reverse-path down; what was said to it stands in the journey.
            let field = try #require(notice.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("message-id: ") })
            let lines = try await exchange.evidence(of: String(field.dropFirst(12)), at: "smtp", until: "delivered by mx:\(exchange.neighbour.domain)")
            #expect(lines.contains { $0.hasPrefix("→ MAIL FROM:<> ") || $0.hasPrefix("→ MAIL FROM:<>:") }, "\(lines)")
            #expect(notice.contains("Action: delivered"), "\(notice)")
            #expect(notice.contains("Reporting-MTA: dns; imap.kartapuce.test") || notice.contains("Reporting-MTA: dns;imap.kartapuce.test"), "\(notice)")
        }
    }

    /// LMTP into Dovecot by a route of the relay.
    @Suite struct InteropDovecotTests {
        @Test func eachRecipientHasAnAnswerOfItsOwn() async throws {
            let servers = try PeersRunning.servers
            let exchange = PeerExchange(kartapuce: servers.kartapuce, peer: servers.dovecot)
            let domain = exchange.neighbour.routedDomain
            let message = SampleMessage.make(
                .init(from: Kartapuce.bob.user, to: "alice@\(domain)", subject: "lmtp", seed: 920, attachmentBytes: 2 * DovecotPeer.quota)
            )
            let recipients = ["alice", "full", "nobody", "dave"].map { "\($0)@\(domain)" }
            try await exchange.submitAsBob(message.content, .init(sender: Kartapuce.bob.user, recipients: recipients))
            for user in ["alice", "dave"] {
                let arrived = try await exchange.expectAtPeer(user, containing: message.messageID)
                #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
            }
            let lines = try await exchange.evidence(of: message.messageID, at: "smtp", until: "failed by route:\(domain) for full@\(domain)")
            #expect(lines.contains { $0.hasPrefix("delivered by route:\(domain) for alice@") }, "\(lines)")
            #expect(lines.contains { $0.hasPrefix("delivered by route:\(domain) for dave@") }, "\(lines)")
            #expect(lines.contains { $0.hasPrefix("failed by route:\(domain) for nobody@") }, "\(lines)")
            #expect(lines.contains { $0.hasPrefix("secured TLSv1.3 verified \(exchange.neighbour.host)") }, "\(lines)")
            #expect(lines.contains { $0.hasPrefix("→ LHLO") }, "\(lines)")
            #expect(try exchange.peer.files.messages(of: "full").isEmpty)
            // One notice tells of both, each with the server's own code: 552 5.2.2 came after the message, 550 5.1.1 before it.
            let notice = try await exchange.expectNoticeForBob(about: message.messageID)
            #expect(notice.contains("5.2.2") && notice.contains("full@\(domain)"), "\(notice)")
            #expect(notice.contains("5.1.1") && notice.contains("nobody@\(domain)"), "\(notice)")
        }

        @Test func largeAndAwkwardMessagesStayAsTheyAre() async throws {
            let servers = try PeersRunning.servers
            let exchange = PeerExchange(kartapuce: servers.kartapuce, peer: servers.dovecot)
            let recipient = "dave@\(exchange.neighbour.routedDomain)"
            let large = SampleMessage.make(.init(from: Kartapuce.bob.user, to: recipient, subject: "lmtp", seed: 921, attachmentBytes: 3_900_000))
            let awkward = AwkwardMessage.make(from: Kartapuce.bob.user, to: recipient, identity: "<awkward-lmtp@kartapuce.test>")
            for message in [large, awkward] {
                try await exchange.submitAsBob(
                    message.content,
                    .init(sender: Kartapuce.bob.user, recipients: [recipient], mailOptions: ["BODY=8BITMIME"])
                )
                let arrived = try await exchange.expectAtPeer("dave", containing: message.messageID)
                #expect(ReceivedMessage(arrived).firstDifference(from: message.content) == nil)
            }
        }
    }
}

extension PeersRunning {
    static func exchange(with kind: PeerKind) throws -> PeerExchange {
        let servers = try servers
        return PeerExchange(kartapuce: servers.kartapuce, peer: try #require(servers.mail[kind]))
    }
}
