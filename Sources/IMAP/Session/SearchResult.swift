/// What a SEARCH found, in the form that was asked for (RFC 9051 §6.4.4, §7.3.4).
public struct SearchResult: Hashable, Sendable {
    private let numbers: [UInt32]
    private let returns: Set<SearchQuery.ReturnOption>

    /// - Parameters:
    ///   - numbers: what was found, ascending: sequence numbers, or UIDs.
    ///   - returns: what is told of it.
    public init(_ numbers: [UInt32], returns: Set<SearchQuery.ReturnOption>) {
        self.numbers = numbers
        self.returns = returns
    }

    /// Whether there is anything to tell. RFC 9051 §6.4.4: a search that only saves gets no ESEARCH.
    public var isTold: Bool { returns != [.save] }

    /// The result data of ESEARCH. RFC 9051 §6.4.4: MIN, MAX and ALL say nothing where nothing was found.
    var text: String {
        var text = ""
        if returns.contains(.min), let first = numbers.first { text += " MIN \(first)" }
        if returns.contains(.max), let last = numbers.last { text += " MAX \(last)" }
        if returns.contains(.all), !numbers.isEmpty { text += " ALL \(SequenceSet.text(numbers))" }
        if returns.contains(.count) { text += " COUNT \(numbers.count)" }
        return text
    }

    /// Which of the found UIDs `$` means afterwards (RFC 9051 §6.4.4.1): all, but with MIN or MAX and without ALL and COUNT those only.
    public static func saved(_ uids: [UInt32], returns: Set<SearchQuery.ReturnOption>) -> [UInt32] {
        let bounds: Set<SearchQuery.ReturnOption> = [.min, .max]
        guard returns.isDisjoint(with: [.all, .count]), !returns.isDisjoint(with: bounds) else { return uids }
        var saved: [UInt32] = []
        if returns.contains(.min), let first = uids.first { saved.append(first) }
        if returns.contains(.max), let last = uids.last, saved != [last] { saved.append(last) }
        return saved
    }
}
