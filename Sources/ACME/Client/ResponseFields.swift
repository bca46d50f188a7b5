import FoundationEssentials

extension ACMEResponse {
    /// The nonce for the next request (RFC 8555 §6.5.1); `nil` for what can't be one.
    var nonce: String? {
        guard let text = value("replay-nonce"), (1...512).contains(text.utf8.count), Base64URL.decode(text) != nil else { return nil }
        return text
    }

    /// For how many seconds the server wants to be left alone (RFC 9110 §10.2.3).
    func retryAfterSeconds(at time: Date) -> Int? {
        guard let text = value("retry-after") else { return nil }
        if let seconds = Int(text), seconds >= 0 { return min(seconds, 31_536_000) }
        guard let date = HTTPDate.date(text) else { return nil }
        return Int(min(max(date.timeIntervalSince(time).rounded(.up), 0), 31_536_000))
    }

    /// The targets of links of one relation (RFC 8288 §3), such as other chains (RFC 8555 §7.4.2).
    func links(_ relation: String) -> [String] {
        values("link").flatMap { Self.links($0) }.filter { $0.relations.contains(relation) }.map(\.target)
    }

    private static func links(_ field: String) -> [(target: String, relations: [String])] {
        var links: [(String, [String])] = []
        // A target is between angle brackets, and none of those that are taken has a comma or a bracket.
        for part in field.split(separator: "<").dropFirst(field.hasPrefix("<") ? 0 : 1).prefix(32) {
            guard let end = part.firstIndex(of: ">") else { continue }
            var relations: [String] = []
            for parameter in part[part.index(after: end)...].split(separator: ";") {
                let pair = parameter.split(separator: "=", maxSplits: 1).map { $0.trimmed }
                guard pair.count == 2, pair[0].lowercased() == "rel" else { continue }
                relations += pair[1].filter { $0 != "\"" && $0 != "," }.split(separator: " ").map { $0.lowercased() }
            }
            links.append((String(part[..<end]), relations))
        }
        return links
    }
}

extension Substring {
    /// Without blanks at both ends.
    var trimmed: String {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}

/// The two forms of time that an authority sends.
enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7); the two older forms aren't sent by anybody.
    static func date(_ text: String) -> Date? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[0].hasSuffix(","), parts[5] == "GMT", let month = months.firstIndex(of: String(parts[2])) else { return nil }
        let clock = parts[4].split(separator: ":", omittingEmptySubsequences: false)
        guard clock.count == 3, let day = number(parts[1], 2), let year = number(parts[3], 4), let hour = number(clock[0], 2),
            let minute = number(clock[1], 2), let second = number(clock[2], 2)
        else { return nil }
        return date(year: year, month: month + 1, day: day, hour: hour, minute: minute, second: second)
    }

    /// `2025-01-02T04:00:00Z`, with a fraction or an offset (RFC 3339 §5.6).
    static func timestamp(_ text: String) -> Date? {
        let octets = Array(text.utf8)
        guard (20...40).contains(octets.count), octets.allSatisfy({ $0 < 0x80 }), octets[4] == 0x2D, octets[7] == 0x2D,
            octets[10] | 0x20 == UInt8(ascii: "t"), octets[13] == 0x3A, octets[16] == 0x3A
        else { return nil }
        func part(_ range: Range<Int>) -> Int? { number(String(decoding: octets[range], as: UTF8.self)[...], range.count) }
        guard let year = part(0..<4), let month = part(5..<7), let day = part(8..<10), let hour = part(11..<13), let minute = part(14..<16),
            let second = part(17..<19), let date = date(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
        else { return nil }
        var rest = octets[19...]
        if rest.first == UInt8(ascii: ".") {
            // The fraction makes no difference for a window of hours.
            let fraction = rest.dropFirst().prefix { (0x30...0x39).contains($0) }
            guard !fraction.isEmpty else { return nil }
            rest = rest.dropFirst(1 + fraction.count)
        }
        if rest.count == 1, rest.first.map({ $0 | 0x20 }) == UInt8(ascii: "z") { return date }
        guard rest.count == 6, let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"), rest[rest.startIndex + 3] == 0x3A,
            let hours = part(rest.startIndex + 1..<rest.startIndex + 3), hours < 24, let minutes = part(rest.startIndex + 4..<rest.startIndex + 6), minutes < 60
        else { return nil }
        let offset = Double(hours * 3600 + minutes * 60)
        return date.addingTimeInterval(sign == UInt8(ascii: "+") ? -offset : offset)
    }

    private static func number(_ text: Substring, _ digits: Int) -> Int? {
        guard text.utf8.count == digits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text)
    }

    /// The time of a date of the Gregorian calendar.
    private static func date(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) -> Date? {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1600...9999).contains(year), (1...12).contains(month), day >= 1, day <= lengths[month - 1], hour < 24, minute < 60, second <= 60 else {
            return nil
        }
        let years = year - 1
        // Days since 1 January of the year 1, and from there to 1970.
        let days = years * 365 + years / 4 - years / 100 + years / 400 + lengths[..<(month - 1)].reduce(0, +) + day - 1 - 719_162
        return Date(timeIntervalSince1970: Double(days * 86_400 + hour * 3600 + minute * 60 + second))
    }
}
