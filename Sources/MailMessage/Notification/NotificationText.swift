/// The part of a notification that people read: what happened, to whom, and what they can do.
struct NotificationText {
    private let notification: DeliveryStatusNotification

    init(_ notification: DeliveryStatusNotification) { self.notification = notification }

    static func subject(_ kind: DeliveryStatusNotification.Kind) -> String {
        switch kind {
        case .failed: "Your message could not be delivered"
        case .delayed: "Your message is delayed"
        case .delivered: "Your message was delivered"
        case .relayed: "Your message was handed on"
        case .expanded: "Your message was handed to a list"
        }
    }

    /// Lines that end in CRLF.
    var text: String {
        var lines = ["This is the mail system of \(NotificationText.clean(notification.reportingMTA)).", ""]
        lines += introduction
        for recipient in notification.recipients {
            lines += ["", "  <\(NotificationText.clean(recipient.finalRecipient.description))>"]
            if notification.kind == .failed || notification.kind == .delayed {
                lines += NotificationText.wrapped(NotificationText.reason(recipient.status), indent: "    ")
            }
            if let until = recipient.willRetryUntil, notification.kind == .delayed {
                lines += NotificationText.wrapped("It will be tried again until \(until).", indent: "    ")
            }
            if let diagnostic = recipient.diagnostic {
                let who = recipient.remoteMTA.map { "The mail system \($0) said:" } ?? "The reason in detail:"
                lines += NotificationText.wrapped(who, indent: "    ")
                lines += NotificationText.wrapped(
                    String(String.UnicodeScalarView(diagnostic.unicodeScalars.prefix(2000))),
                    indent: "      "
                )
            }
        }
        lines += ["", "What follows is the same for programs, and your message or its header."]
        return lines.joined(separator: "\r\n") + "\r\n"
    }

    private var introduction: [String] {
        switch notification.kind {
        case .failed:
            [
                "Your message could not be delivered to the recipients below, and will",
                "not be tried again. This says nothing about other recipients of it.",
            ]
        case .delayed:
            [
                "Your message could not be delivered yet to the recipients below.",
                "You need not do anything: it is tried again by itself, and you will",
                "be told if it fails in the end.",
            ]
        case .delivered:
            ["Your message is in the mailboxes of the recipients below.", "This does not say that they have read it."]
        case .relayed:
            [
                "Your message was handed on for the recipients below to a mail system",
                "that does not tell about its delivery. You may hear nothing more.",
            ]
        case .expanded:
            ["Your message was handed to the members of the lists below."]
        }
    }

    /// What a code means to a person, and what helps (RFC 3463 §3, and the codes that later RFCs registered).
    static func reason(_ status: EnhancedStatusCode) -> String {
        switch (status.subject, status.detail) {
        case (1, 1), (1, 6):
            "There is no mailbox with this address. Check the spelling, or ask the recipient for the address by other means."
        case (1, 2): "There is no mail system for what stands behind the @. Check the spelling of the address."
        case (1, 3): "The address is not written as an address must be. Check its spelling."
        case (1, 7), (1, 8):
            "The recipient's mail system does not accept your own address as a sender. Tell your administrator."
        case (1, 10):
            "What stands behind the @ exists, but receives no mail at all. Check the spelling, or ask for another address."
        case (2, 1): "The mailbox takes no mail at present. Ask the recipient by other means."
        case (2, 2): "The mailbox is full. The recipient must make room first; then send the message again."
        case (2, 3), (3, 4):
            "The message is larger than the recipient's mail system allows. Send it smaller, or in parts."
        case (3, _): "The recipient's mail system cannot take the message at present. Send it again later."
        case (4, 1), (4, 2): "The recipient's mail system could not be reached."
        case (4, 3), (4, 4):
            "Where to deliver the message could not be found out: the directory of names gave no usable answer."
        case (4, 6): "The message went round in circles between mail systems. Tell your administrator."
        case (4, 7):
            "The message could not be delivered in the time that is given for it. Send it again later, or reach the recipient by other means."
        case (5, 3): "The message has more recipients than the mail system allows. Send it to fewer at a time."
        case (6, 7):
            "The address or the message has letters that the recipient's mail system does not understand. Use another address."
        case (6, _): "The recipient's mail system cannot handle the form of the message. Send it in a simpler form."
        case (7, 10), (7, 30):
            "The message could not be sent as securely as it must be, so it was not sent. Tell your administrator."
        case (7, _):
            "The recipient's mail system refused the message for reasons of security or policy. What it said may tell more."
        case _ where status.statusClass == 4: "The message could not be delivered at present."
        default: "The recipient's mail system refused the message. What it said may tell more."
        }
    }

    private static func clean(_ text: String) -> String { HeaderWriter.withoutControls(text) }

    /// Lines of at most 72 characters where the words allow it, of at most 900 octets in any case.
    private static func wrapped(_ text: String, indent: String) -> [String] {
        var lines = [String]()
        var line = ""
        for word in clean(text).split(separator: " ").flatMap({ pieces(String($0)) }) {
            if !line.isEmpty, indent.count + line.count + 1 + word.count > 72 {
                lines.append(indent + line)
                line = ""
            }
            line += line.isEmpty ? word : " " + word
        }
        if !line.isEmpty { lines.append(indent + line) }
        return lines
    }

    private static func pieces(_ word: String) -> [String] {
        var rest = word.unicodeScalars[...]
        var result = [String]()
        while rest.count > 200 {
            result.append(String(String.UnicodeScalarView(rest.prefix(200))))
            rest = rest.dropFirst(200)
        }
        result.append(String(String.UnicodeScalarView(rest)))
        return result
    }
}
