/// Sequence numbers or UIDs as ranges (RFC 9051 §9, `sequence-set`); `*` is the largest number in use.
public struct SequenceSet: Hashable, Sendable, CustomStringConvertible {
    /// A number, or the largest in use.
    public enum Bound: Hashable, Sendable {
        case number(UInt32)
        case largest
    }
    /// Both bounds belong to the range; they stand in any order.
    public struct Element: Hashable, Sendable {
        public var first: Bound
        public var last: Bound
        /// Makes a range.
        public init(_ first: Bound, _ last: Bound) {
            self.first = first
            self.last = last
        }
    }
    /// The ranges as they were written; empty for `$`.
    public var elements: [Element]
    /// `$`: the result of the last SEARCH with SAVE (RFC 9051 §6.4.4.1).
    public var isSavedResult: Bool

    /// Makes a set.
    public init(_ elements: [Element], isSavedResult: Bool = false) {
        self.elements = elements
        self.isSavedResult = isSavedResult
    }

    /// The ranges in ascending order without overlaps, `*` replaced; empty when nothing is in use and only `*` was named.
    public func ranges(largest: UInt32) -> [ClosedRange<UInt32>] {
        func value(_ bound: Bound) -> UInt32 {
            switch bound {
            case .number(let number): number
            case .largest: largest
            }
        }
        let sorted = elements.map { element -> ClosedRange<UInt32> in
            let (first, last) = (value(element.first), value(element.last))
            return min(first, last)...max(first, last)
        }.sorted { $0.lowerBound < $1.lowerBound }
        var merged: [ClosedRange<UInt32>] = []
        for range in sorted where range.upperBound > 0 {
            if let previous = merged.last, range.lowerBound <= previous.upperBound {
                merged[merged.count - 1] = previous.lowerBound...max(previous.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        return merged
    }

    /// Whether a number is in the set, `*` being `largest`. Says nothing about `$`.
    public func contains(_ number: UInt32, largest: UInt32) -> Bool {
        func value(_ bound: Bound) -> UInt32 {
            switch bound {
            case .number(let number): number
            case .largest: largest
            }
        }
        return elements.contains { element in
            let (first, last) = (value(element.first), value(element.last))
            return min(first, last) <= number && number <= max(first, last)
        }
    }

    /// Makes the shortest text of ascending numbers: `1:3,7`.
    public static func text(_ numbers: [UInt32]) -> String {
        var text = ""
        var index = 0
        while index < numbers.count {
            var end = index
            while end + 1 < numbers.count, numbers[end] < .max, numbers[end + 1] == numbers[end] + 1 { end += 1 }
            if !text.isEmpty { text += "," }
            text += end == index ? "\(numbers[index])" : "\(numbers[index]):\(numbers[end])"
            index = end + 1
        }
        return text
    }

    public var description: String {
        func text(_ bound: Bound) -> String {
            switch bound {
            case .number(let number): "\(number)"
            case .largest: "*"
            }
        }
        guard !isSavedResult else { return "$" }
        return elements.map { $0.first == $0.last ? text($0.first) : "\(text($0.first)):\(text($0.last))" }.joined(separator: ",")
    }
}
