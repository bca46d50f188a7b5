import NIOCore

@testable import IMAP

/// Responses of a server as our client reads them, and the client's own commands as our server reads them.
enum IMAPClientTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let whole = read(Cut.whole.pieces(input.octets))
        require(whole == read(Cut.random.pieces(input.octets)), "other responses in pieces")
        commands(input)
    }

    private struct Outcome: Equatable {
        var responses: [IMAPServerResponse] = []
        var unreadable = 0
        var failed = false
    }

    private static func read(_ pieces: [ArraySlice<UInt8>]) -> Outcome {
        var limits = IMAPClientLimits()
        limits.lineLength = 1_500
        limits.literalLength = 300
        limits.literalCount = 5
        limits.nestingDepth = 6
        limits.valueCount = 60
        var reader = IMAPResponseReader(limits: limits)
        var outcome = Outcome()
        for piece in pieces {
            reader.receive(ByteBuffer(bytes: piece))
            do {
                while let text = try reader.next() {
                    do {
                        outcome.responses.append(try IMAPServerResponse(parsing: text, limits: limits))
                    } catch {
                        outcome.unreadable += 1
                    }
                }
            } catch {
                outcome.failed = true
                return outcome
            }
        }
        return outcome
    }

    /// What somebody types into the webmail, as a mailbox's name and as a search, arrives as it was typed.
    private static func commands(_ input: Input) {
        let text = String(decoding: input.octets.prefix(200), as: UTF8.self)
        guard !text.isEmpty else { return }
        // A mailbox's name with control characters is refused, by us too.
        guard text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else { return }
        switch parsed(.select(mailbox: text)) {
        case .select(let name)?: require(name == text || text.uppercased() == "INBOX", "SELECT “\(text)” is read as “\(name)”")
        case let other: require(false, "SELECT “\(text)” is read as \(String(describing: other))")
        }
        guard case .search(let query, _)? = parsed(.uidSearchText(text)), case .text(let found) = query.key else {
            return require(false, "SEARCH TEXT “\(text)” is read otherwise")
        }
        require(found == text, "SEARCH TEXT “\(text)” is read as “\(found)”")
    }

    private static func parsed(_ command: IMAPClientCommand) -> IMAPCommand? {
        var decoder = IMAPCommandDecoder()
        var found: IMAPCommand?
        for piece in command.pieces(tag: "a1") {
            switch piece {
            case .text(let text): decoder.append(ByteBuffer(string: text))
            case .literal(let octets): decoder.append(octets)
            }
            while let event = decoder.next() {
                if case .command("a1", let command) = event {
                    require(found == nil, "one command is read as two")
                    found = command
                } else if event != .continuationWanted {
                    require(false, "our own command is read as \(event)")
                }
            }
        }
        return found
    }
}
