import IMAP
import NIOCore
import Testing

/// Sequence numbers, and what a client may be told when (RFC 9051 §2.3.1.2, §7.5.1).
@Suite struct MailboxViewTests {
    private func view(_ uids: UInt32...) -> MailboxView {
        var view = MailboxView(modSeq: 10)
        view.load(uids: uids, flagSets: [])
        return view
    }

    private func change(_ uid: UInt32, _ modSeq: UInt64, _ flags: Set<String> = []) -> MailboxView.Message {
        MailboxView.Message(uid: uid, modSeq: modSeq, flags: flags)
    }

    private func told(
        _ view: inout MailboxView, _ changed: [MailboxView.Message] = [], vanished: [UInt32] = [], modSeq: UInt64, mayExpunge: Bool = true
    ) -> [String] {
        var buffer = ByteBuffer()
        view.apply(changed: changed, vanished: vanished, modSeq: modSeq, mayExpunge: mayExpunge, isRev2: true, into: &buffer)
        return String(buffer: buffer).split(separator: "\r\n").map(String.init)
    }

    private func set(_ first: SequenceSet.Bound, _ last: SequenceSet.Bound) -> SequenceSet { SequenceSet([.init(first, last)]) }

    @Test func numbersAndUIDs() {
        let open = view(3, 7, 20)
        #expect(open.resolve(set(.number(1), .number(2)), isUID: false) == [3, 7])
        #expect(open.resolve(set(.largest, .largest), isUID: false) == [20])
        #expect(open.resolve(set(.number(4), .number(4)), isUID: false) == nil)
        #expect(open.resolve(set(.number(2), .number(.max)), isUID: false) == nil)
        #expect(open.resolve(set(.number(4), .number(20)), isUID: true) == [7, 20])
        #expect(open.resolve(set(.number(1), .number(.max)), isUID: true) == [3, 7, 20])
        // RFC 9051 §9: `*` is the last message, on whichever side it stands.
        #expect(open.resolve(set(.number(500), .largest), isUID: true) == [20])
        #expect(open.resolve(set(.number(8), .number(9)), isUID: true) == [])
        #expect(open.sequenceNumber(of: 7) == 2)
        #expect(open.sequenceNumber(of: 8) == nil)
        #expect(view().resolve(set(.number(1), .largest), isUID: true) == [])
        #expect(view().resolve(set(.number(1), .largest), isUID: false) == nil)
    }

    @Test func expungesAreToldWithTheNumbersOfTheirMoment() {
        var open = view(1, 2, 3, 4, 5)
        #expect(told(&open, vanished: [2, 3, 5], modSeq: 11) == ["* 2 EXPUNGE", "* 2 EXPUNGE", "* 3 EXPUNGE"])
        #expect(open.uids == [1, 4])
    }

    @Test func expungesWaitUntilTheyMayBeTold() {
        var open = view(1, 2, 3)
        #expect(told(&open, [change(4, 12)], vanished: [2], modSeq: 12, mayExpunge: false) == ["* 4 EXISTS"])
        #expect(open.resolve(set(.number(3), .number(3)), isUID: false) == [3])
        #expect(told(&open, modSeq: 12) == ["* 2 EXPUNGE"])
        #expect(open.uids == [1, 3, 4])
    }

    @Test func newMessagesAndFlags() {
        var open = view(1, 2)
        #expect(
            told(&open, [change(2, 11, ["\\Seen", "$Work"]), change(9, 12)], modSeq: 12) == [
                "* 3 EXISTS", "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)", "* 2 FETCH (UID 2 FLAGS ($Work \\Seen))",
            ])
        #expect(open.modSeq == 12)
        // A message that came and went between two looks never gets a number.
        #expect(told(&open, vanished: [10], modSeq: 14).isEmpty)
        #expect(told(&open, [change(1, 15)], vanished: [1], modSeq: 15, mayExpunge: false).isEmpty)
    }

    @Test func ownChangesAreNotToldAgain() {
        var open = view(1, 2)
        open.tell([change(1, 11)])
        #expect(told(&open, [change(1, 11, ["\\Seen"])], modSeq: 11).isEmpty)
        // Somebody else changed it again before the client looked.
        open.tell([change(1, 12)])
        #expect(told(&open, [change(1, 13, ["\\Flagged"])], modSeq: 13) == ["* 1 FETCH (UID 1 FLAGS (\\Flagged))"])
    }

    @Test func sharesOnlyWhatTheClientKnows() {
        var open = view(1, 2, 3)
        open.share([4, 5, 6], upTo: 9)
        open.share([1, 2], upTo: 10)
        #expect(open.uids == [1, 2, 3])
        open.share([4, 5, 6], upTo: 10)
        #expect(open.uids == [4, 5, 6])
        // A removal that the client has not been told: others know one less, and later one more.
        #expect(told(&open, [change(7, 12)], vanished: [5], modSeq: 12, mayExpunge: false) == ["* 4 EXISTS"])
        open.share([4, 6, 7, 8], upTo: 12)
        #expect(open.uids == [4, 5, 6, 7])
        #expect(open.sequenceNumbers(of: [4, 5, 9, 7]) == [1, 2, 4])
    }

    @Test func savedResultLosesWhatIsGone() {
        var open = view(1, 2, 3)
        open.save([1, 3])
        #expect(open.resolve(SequenceSet([], isSavedResult: true), isUID: false) == [1, 3])
        _ = told(&open, vanished: [1], modSeq: 11)
        #expect(open.resolve(SequenceSet([], isSavedResult: true), isUID: true) == [3])
    }
}

/// SEARCH's results (RFC 9051 §6.4.4, §7.3.4).
@Suite struct SearchResultTests {
    struct Case: Sendable {
        var numbers: [UInt32]
        var returns: Set<SearchQuery.ReturnOption>
        var text: String
    }

    @Test(arguments: [
        Case(numbers: [], returns: [.all, .min, .max], text: ""), Case(numbers: [], returns: [.count], text: " COUNT 0"),
        Case(numbers: [2, 3, 4, 9], returns: [.all], text: " ALL 2:4,9"),
        Case(numbers: [2, 3, 9], returns: [.min, .max, .count], text: " MIN 2 MAX 9 COUNT 3"),
    ])
    func extended(test: Case) {
        var buffer = ByteBuffer()
        IMAPResponse.extendedSearch(tag: "a\"1", isUID: true, SearchResult(test.numbers, returns: test.returns)).write(into: &buffer, isRev2: true)
        #expect(String(buffer: buffer) == "* ESEARCH (TAG \"a\\\"1\") UID\(test.text)\r\n")
    }

    @Test(arguments: [
        Case(numbers: [1, 2, 3], returns: [.save], text: ""), Case(numbers: [1], returns: [.save, .min], text: ""),
        Case(numbers: [3], returns: [.save, .max], text: ""), Case(numbers: [1, 3], returns: [.save, .min, .max], text: ""),
        Case(numbers: [1, 2, 3], returns: [.save, .min, .all], text: ""), Case(numbers: [1, 2, 3], returns: [.save, .max, .count], text: ""),
    ])
    func saved(test: Case) {
        #expect(SearchResult.saved([1, 2, 3], returns: test.returns) == test.numbers)
        #expect(SearchResult([1], returns: test.returns).isTold == (test.returns != [.save]))
    }
}
