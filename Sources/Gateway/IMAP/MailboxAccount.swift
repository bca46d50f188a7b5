import FoundationEssentials
import IMAP
import Logging
import MailMessage
import MailStore
import MailTransport
import NIOCore

/// Runs the commands of one connection on its user's mailboxes.
///
/// Follow ``perform(_:tag:isRev2:into:)``: each command has a method of its own, sorted by subject into the files beside this one. After a
/// command the client is told what others changed, as far as the command allows it (RFC 9051 §7.5.1).
final class MailboxAccount: IMAPAccount {
    /// The mailbox that is selected.
    struct Selection {
        /// What is known of its messages, in common with all other sessions.
        let table: MailboxTable
        let name: String
        let isReadOnly: Bool
        var view: MailboxView

        var mailbox: Int64 { table.mailbox }
    }

    /// A message on its way in.
    struct Incoming {
        var request: AppendRequest
        var buffer = ByteBuffer()
        var file: (any IncomingFile)?
        var failure: IMAPCompletion?
    }

    let user: EmailAddress
    let backend: MailboxBackend
    var selection: Selection?
    var incoming: Incoming?

    var store: any MailStore { backend.store }

    init(user: EmailAddress, backend: MailboxBackend) {
        self.user = user
        self.backend = backend
    }

    func perform(_ command: IMAPCommand, tag: String, isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        do {
            var completion = try await run(command, tag: tag, isRev2: isRev2, into: output)
            guard !command.closesSelection else { return completion }
            let age = command.asksForNews ? .zero : Self.newsAge
            let ending = try await synchronize(mayExpunge: command.letsNumbersChange, lookedWithin: age, isRev2: isRev2, into: output)
            if let ending { completion = ending }
            return completion
        } catch let error as StoreError {
            return completion(for: error, of: command)
        }
    }

    private func run(_ command: IMAPCommand, tag: String, isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        switch command {
        case .noop: return .ok("Nothing done")
        case .check: return .ok("Checked")
        case .select(let name): return try await select(name, isReadOnly: false, isRev2: isRev2, into: output)
        case .examine(let name): return try await select(name, isReadOnly: true, isRev2: isRev2, into: output)
        case .close: return try await close()
        case .unselect:
            selection = nil
            return .ok("Unselected", effect: .unselected)
        case .create(let name, let use): return try await create(name, specialUse: use)
        case .delete(let name): return try await delete(name)
        case .rename(let name, let newName): return try await rename(name, to: newName)
        case .subscribe(let name): return try await subscribe(name, true)
        case .unsubscribe(let name): return try await subscribe(name, false)
        case .list(let query): return try await list(query, isRev2: isRev2, into: output)
        case .lsub(let reference, let pattern): return try await lsub(reference, pattern, isRev2: isRev2, into: output)
        case .status(let name, let items): return try await status(name, items, isRev2: isRev2, into: output)
        case .search(let query, let isUID): return try await search(query, tag: tag, isUID: isUID, isRev2: isRev2, into: output)
        case .fetch(let set, let items, let isUID): return try await fetch(set, items, isUID: isUID, into: output)
        case .store(let set, let change, let isUID): return try await storeFlags(set, change, isUID: isUID, isRev2: isRev2, into: output)
        case .copy(let set, let target, let isUID): return try await copy(set, to: target, isUID: isUID, isRev2: isRev2, into: output)
        case .move(let set, let target, let isUID): return try await move(set, to: target, isUID: isUID, isRev2: isRev2, into: output)
        case .expunge: return try await expunge(nil)
        case .uidExpunge(let set): return try await expunge(set)
        case .capability, .logout, .startTLS, .namespace, .idle, .id, .login, .authenticate, .enable:
            return .bad("This command is not for a mailbox")
        }
    }

    /// What a client is told when the store refused.
    func completion(for error: StoreError, of command: IMAPCommand?) -> IMAPCompletion {
        switch error.code {
        case .exists: return .no(error.message, code: "ALREADYEXISTS")
        case .notFound:
            switch command {
            // RFC 9051 §6.3.12, §6.4.7: the client may create it and try again.
            case .copy, .move, nil: return .no(error.message, code: "TRYCREATE")
            case .fetch, .store, .search, .expunge, .uidExpunge, .close: return .no("The selected mailbox is gone", effect: .ended)
            default: return .no(error.message, code: "NONEXISTENT")
            }
        case .invalidName: return .no(error.message, code: "CANNOT")
        case .full, .busy, .corrupted, .unsupportedSchema, .inputOutput:
            backend.logger.error("the mailboxes failed", metadata: ["user": "\(user)", "error": "\(error)"])
            return .no(error.code == .full ? "No room is left" : "The mailbox can't be used now", code: "UNAVAILABLE")
        }
    }

    // MARK: - The selected mailbox

    func changes() -> AsyncStream<Void>? { selection.map { store.changes(of: $0.mailbox) } }

    func synchronize(isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion? {
        do {
            return try await synchronize(mayExpunge: true, lookedWithin: .zero, isRev2: isRev2, into: output)
        } catch let error as StoreError {
            var ending = completion(for: error, of: .noop)
            ending.effect = .ended
            return ending
        }
    }

    /// For so long a command that doesn't ask for news is answered without looking for what other processes changed. What this process
    /// changes is always told.
    private static let newsAge = Duration.seconds(1)

    /// Tells what changed in the selected mailbox; returns how the connection ends when the mailbox is gone.
    private func synchronize(
        mayExpunge: Bool, lookedWithin age: Duration, isRev2: Bool, into output: IMAPOutput
    ) async throws -> IMAPCompletion? {
        guard let open = selection else { return nil }
        do {
            let delta = try await store.changes(in: open.table, after: open.view.modSeq, lookedWithin: age)
            selection?.view.apply(
                changed: delta?.changed.map(MailboxView.Message.init) ?? [], vanished: delta?.vanished ?? [],
                modSeq: delta?.highestModSeq ?? open.view.modSeq, mayExpunge: mayExpunge, isRev2: isRev2, into: &output.buffer)
            if delta != nil { shareUIDs() }
        } catch let error as StoreError where error.code == .notFound {
            selection = nil
            return .no("The selected mailbox is gone", effect: .ended)
        }
        try await output.drain()
        return nil
    }

    private func shareUIDs() {
        guard let messages = selection?.table.snapshot else { return }
        selection?.view.share(messages.uids, upTo: messages.modSeq)
    }

    /// SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3).
    private func select(_ name: String, isReadOnly: Bool, isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        if selection != nil {
            selection = nil
            IMAPResponse.ok(code: "CLOSED", "The mailbox before is closed").write(into: &output.buffer, isRev2: isRev2)
        }
        do {
            guard let mailbox = try await store.mailbox(named: name, of: user) else {
                return .no("There is no mailbox of this name", code: "NONEXISTENT", effect: .unselected)
            }
            let table = try await store.table(of: mailbox.id)
            let messages = table.snapshot
            var open = Selection(table: table, name: mailbox.name, isReadOnly: isReadOnly, view: MailboxView(modSeq: messages.modSeq))
            open.view.load(uids: messages.uids, flagSets: messages.flagSetsInUse)
            let firstUnseen = messages.firstPlace(without: "\\Seen").map { $0 + 1 }
            // It may be younger than what was read of the mailbox.
            let uidNext = max(mailbox.uidNext, (messages.uids.last ?? 0).addingReportingOverflow(1).partialValue)
            selection = open
            func say(_ response: IMAPResponse) { response.write(into: &output.buffer, isRev2: isRev2) }
            say(.flags(open.view.flags))
            say(.exists(open.view.uids.count))
            if !isRev2 { say(.recent(0)) }
            if !isRev2, let firstUnseen { say(.ok(code: "UNSEEN \(firstUnseen)", "The first unseen message")) }
            let permanent = isReadOnly ? "" : (open.view.flags + ["\\*"]).joined(separator: " ")
            say(.ok(code: "PERMANENTFLAGS (\(permanent))", "These flags are kept"))
            say(.ok(code: "UIDNEXT \(uidNext)", "The next UID"))
            say(.ok(code: "UIDVALIDITY \(mailbox.uidValidity)", "UIDs are valid"))
            if isRev2 { say(.list(MailboxListing(name: mailbox.name, attributes: try await mailboxList().attributes(of: mailbox.name)))) }
            return .ok(
                isReadOnly ? "Examined" : "Selected", code: isReadOnly ? "READ-ONLY" : "READ-WRITE", effect: .selected)
        } catch let error as StoreError {
            // RFC 9051 §6.3.2: a SELECT that fails leaves nothing selected.
            selection = nil
            var refusal = completion(for: error, of: .select(name))
            refusal.effect = .unselected
            return refusal
        }
    }

    /// CLOSE (RFC 9051 §6.4.1): removes what is marked, without a word.
    private func close() async throws -> IMAPCompletion {
        if let open = selection, !open.isReadOnly { _ = try await store.expunge(in: open.mailbox, uids: nil) }
        selection = nil
        return .ok("Closed", effect: .unselected)
    }

    /// The UIDs that a command means.
    func resolve(_ set: SequenceSet, isUID: Bool) -> [UInt32]? { selection?.view.resolve(set, isUID: isUID) }

    static let noSuchMessage = IMAPCompletion.bad("There is no message of this number")
    static let nothingSelected = IMAPCompletion.bad("No mailbox is selected")
    static let readOnly = IMAPCompletion.no("The mailbox is open for reading only", code: "CANNOT")
}

extension MailboxView.Message {
    init(_ message: StoredMessage) { self.init(uid: message.uid, modSeq: message.modSeq, flags: message.flags) }
}

extension IMAPCommand {
    /// Whether EXPUNGE may be told in answer to it (RFC 9051 §7.5.1).
    fileprivate var letsNumbersChange: Bool {
        switch self {
        case .fetch(_, _, let isUID), .store(_, _, let isUID), .search(_, let isUID): isUID
        default: true
        }
    }

    /// Whether a client gives it to hear what is new (RFC 9051 §6.1.2).
    fileprivate var asksForNews: Bool {
        switch self {
        case .noop, .check, .expunge: true
        default: false
        }
    }

    /// Whether nothing is to be told after it: the mailbox is closed, or has just been opened.
    fileprivate var closesSelection: Bool {
        switch self {
        case .select, .examine, .close, .unselect: true
        default: false
        }
    }
}
