import FoundationEssentials
import IMAP
import MailMessage
import MailStore
import MailTransport
import NIOCore

/// The commands that change messages or carry them elsewhere (RFC 9051 §6.4).
extension MailboxAccount {
    /// STORE (RFC 9051 §6.4.6).
    func storeFlags(
        _ set: SequenceSet, _ change: StoreChange, isUID: Bool, isRev2: Bool, into output: IMAPOutput
    ) async throws -> IMAPCompletion {
        guard let open = selection else { return Self.nothingSelected }
        guard !open.isReadOnly else { return Self.readOnly }
        guard let uids = resolve(set, isUID: isUID) else { return Self.noSuchMessage }
        let operation: FlagChange =
            switch change.operation {
            case .replace: .replace
            case .add: .add
            case .remove: .remove
            }
        var count = 0
        // In pieces, so that one client with a large mailbox doesn't hold the store's writer for long.
        for piece in uids.pieces(of: 1000) {
            let changed = try await store.changeFlags(in: open.mailbox, uids: piece, operation, Set(change.flags), unchangedSince: nil).messages
            count += changed.count
            let messages = changed.map(MailboxView.Message.init)
            selection?.view.tell(messages)
            guard !change.isSilent else { continue }
            for message in messages {
                guard let number = selection?.view.sequenceNumber(of: message.uid) else { continue }
                IMAPResponse.fetchFlags(sequenceNumber: number, uid: message.uid, message.flags).write(into: &output.buffer, isRev2: isRev2)
                try await output.drain()
            }
        }
        return count < uids.count ? Self.someAreGone : .ok("Flags are stored")
    }

    /// RFC 9051 §7.1: the client's numbers are older than the mailbox.
    static let someAreGone = IMAPCompletion.no("Some of the messages are gone", code: "EXPUNGEISSUED")

    /// COPY (RFC 9051 §6.4.7).
    func copy(_ set: SequenceSet, to target: String, isUID: Bool, isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        guard let open = selection else { return Self.nothingSelected }
        guard let uids = resolve(set, isUID: isUID) else { return Self.noSuchMessage }
        let copied = try await store.copy(from: open.mailbox, uids: uids, to: target, of: user, move: false)
        return .ok("Copied", code: Self.copyCode(copied.uidValidity, copied.uids))
    }

    /// MOVE (RFC 9051 §6.4.8): the new UIDs are told first, then by EXPUNGE that the old are gone.
    func move(_ set: SequenceSet, to target: String, isUID: Bool, isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        guard let open = selection else { return Self.nothingSelected }
        guard !open.isReadOnly else { return Self.readOnly }
        guard let uids = resolve(set, isUID: isUID) else { return Self.noSuchMessage }
        let moved = try await store.copy(from: open.mailbox, uids: uids, to: target, of: user, move: true)
        if let code = Self.copyCode(moved.uidValidity, moved.uids) {
            IMAPResponse.ok(code: code, "The new messages").write(into: &output.buffer, isRev2: isRev2)
        }
        return .ok("Moved")
    }

    /// RFC 9051 §7.1, COPYUID. `nil` when nothing was copied.
    private static func copyCode(_ uidValidity: UInt32, _ uids: [(UInt32, UInt32)]) -> String? {
        guard !uids.isEmpty else { return nil }
        return "COPYUID \(uidValidity) \(SequenceSet.text(uids.map(\.0))) \(SequenceSet.text(uids.map(\.1)))"
    }

    /// EXPUNGE, and UID EXPUNGE with a set (RFC 9051 §6.4.3, §6.4.9).
    func expunge(_ set: SequenceSet?) async throws -> IMAPCompletion {
        guard let open = selection else { return Self.nothingSelected }
        guard !open.isReadOnly else { return Self.readOnly }
        // Deliberate: no set means all; a set that means nothing must never do.
        let uids: [UInt32]? = if let set { resolve(set, isUID: true) ?? [] } else { nil }
        _ = try await store.expunge(in: open.mailbox, uids: uids)
        return .ok("Expunged")
    }

    // MARK: - APPEND (RFC 9051 §6.3.12)

    func beginAppend(_ request: AppendRequest) async -> IMAPCompletion? {
        guard request.length <= backend.messageSize else {
            return .no("The message is larger than \(backend.messageSize) octets", code: "TOOBIG")
        }
        guard request.length > 0 else { return .no("A message has octets") }
        guard !backend.budget.isExhausted else { return .no("Too busy, try again later", code: "UNAVAILABLE") }
        do {
            // Before the client sends megabytes in vain.
            guard try await store.mailbox(named: request.mailbox, of: user) != nil else {
                return .no("There is no mailbox of this name", code: "TRYCREATE")
            }
            var started = Incoming(request: request)
            if request.length > backend.memoryPerMessage { started.file = try await store.makeIncomingFile() }
            incoming = started
            return nil
        } catch {
            return refusal(for: error)
        }
    }

    func append(_ octets: ByteBuffer) async {
        guard let started = incoming, started.failure == nil else { return }
        if let file = started.file {
            do { try await file.append(octets) } catch {
                await file.discard()
                incoming?.file = nil
                incoming?.failure = refusal(for: error)
            }
        } else {
            backend.budget.add(octets.readableBytes)
            incoming?.buffer.writeImmutableBuffer(octets)
        }
    }

    func endAppend(isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        guard let ended = incoming else { return .no("No message has come") }
        incoming = nil
        defer { backend.budget.remove(ended.buffer.readableBytes) }
        if let failure = ended.failure { return failure }
        do {
            let content: any MessageContent = if let file = ended.file { try await file.finish() } else { BufferedContent(ended.buffer) }
            let stored = try await store.append(
                [(content, Set(ended.request.flags), ended.request.internalDate ?? .now)], to: ended.request.mailbox, of: user)
            if let ending = try await synchronize(isRev2: isRev2, into: output) { return ending }
            return .ok("Appended", code: stored.first.map { "APPENDUID \($0.uidValidity) \($0.uid)" })
        } catch {
            await ended.file?.discard()
            return refusal(for: error)
        }
    }

    func abandonAppend() async {
        guard let ended = incoming else { return }
        incoming = nil
        backend.budget.remove(ended.buffer.readableBytes)
        await ended.file?.discard()
    }

    private func refusal(for error: any Error) -> IMAPCompletion {
        completion(for: error as? StoreError ?? StoreError(.inputOutput, "\(error)"), of: nil)
    }
}

extension Array {
    /// The array in slices of at most `size` elements.
    func pieces(of size: Int) -> [[Element]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
    }
}
