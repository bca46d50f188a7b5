public import FoundationEssentials

/// Conditions of SEARCH that a message's row answers (RFC 9051 §6.4.4), prepared once for a whole mailbox.
public struct RowSearch: Sendable {
    private indirect enum Test: Sendable {
        case constant(Bool)
        case sequence(SequenceSet)
        case uid(SequenceSet)
        case saved
        /// By the place of the message's flags.
        case flag([Bool])
        case before(Int)
        case on(Int)
        case since(Int)
        case larger(Int)
        case smaller(Int)
        case not(Test)
        case or(Test, Test)
        case and([Test])
    }

    private let key: SearchKey
    private let context: SearchContext
    private var test = Test.constant(false)
    private var flagCount = 0
    private var flagGeneration = -1

    /// Prepares conditions that must all hold, and that need no more than a row.
    public init(_ keys: [SearchKey], in context: SearchContext) {
        key = .and(keys)
        self.context = context
    }

    /// Says which combinations of flags the messages that follow refer to.
    /// - Parameter generation: changes when combinations that were told before have changed; there may always be more of them.
    public mutating func use(_ flagSets: [Set<String>], generation: Int) {
        guard generation != flagGeneration || flagSets.count != flagCount else { return }
        flagGeneration = generation
        flagCount = flagSets.count
        test = prepare(key, flagSets)
    }

    private func prepare(_ key: SearchKey, _ flagSets: [Set<String>]) -> Test {
        switch key {
        case .all: .constant(true)
        case .sequence(let set): set.isSavedResult ? .saved : .sequence(set)
        case .uid(let set): set.isSavedResult ? .saved : .uid(set)
        case .flag(let name, let isSet): .flag(flagSets.map { $0.has(name) == isSet })
        case .recent(let isRecent): .constant(!isRecent)
        case .before(let day): .before(day)
        case .on(let day): .on(day)
        case .since(let day): .since(day)
        case .larger(let size): .larger(Int(size))
        case .smaller(let size): .smaller(Int(size))
        case .not(let key): .not(prepare(key, flagSets))
        case .or(let first, let second): .or(prepare(first, flagSets), prepare(second, flagSets))
        case .and(let keys): .and(keys.map { prepare($0, flagSets) })
        // They are not answered here.
        case .sentBefore, .sentOn, .sentSince, .header, .body, .text: .constant(false)
        }
    }

    /// Whether the conditions hold for a message.
    /// - Parameter flags: the place of its flags among those of ``use(_:generation:)``.
    public func matches(number: Int, uid: UInt32, flags: Int, internalDate: Date, size: Int) -> Bool {
        func holds(_ test: Test) -> Bool {
            switch test {
            case .constant(let value): value
            case .sequence(let set): set.contains(UInt32(clamping: number), largest: UInt32(clamping: context.lastSequenceNumber))
            case .uid(let set): set.contains(uid, largest: context.lastUID)
            case .saved: context.saved.contains(uid)
            case .flag(let places): places.indices.contains(flags) && places[flags]
            case .before(let day): IMAPDate.day(internalDate) < day
            case .on(let day): IMAPDate.day(internalDate) == day
            case .since(let day): IMAPDate.day(internalDate) >= day
            case .larger(let limit): size > limit
            case .smaller(let limit): size < limit
            case .not(let test): !holds(test)
            case .or(let first, let second): holds(first) || holds(second)
            case .and(let tests): tests.allSatisfy(holds)
            }
        }
        return holds(test)
    }
}
