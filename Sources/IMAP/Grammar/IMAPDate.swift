public import FoundationEssentials

/// Dates as IMAP writes them (RFC 9051 §9, `date-time` and `date`).
public enum IMAPDate {
    static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Days from 1970-01-01 to a day of the Gregorian calendar.
    static func days(year: Int, month: Int, day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The day of a count of days from 1970-01-01.
    static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    /// `17-Jul-1996 02:44:25 +0000`, always in UTC.
    public static func text(_ date: Date) -> String {
        let clamped = min(max(date.timeIntervalSince1970.rounded(.down), -62_135_596_800), 253_402_300_799)
        let seconds = Int(clamped)
        let day = Int((clamped / 86_400).rounded(.down))
        let rest = seconds - day * 86_400
        let civil = civil(day)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let year = String(repeating: "0", count: max(0, 4 - "\(civil.year)".count)) + "\(civil.year)"
        let pad = civil.day < 10 ? " " : ""
        return "\(pad)\(civil.day)-\(months[civil.month - 1])-\(year) \(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60)) +0000"
    }

    /// The number of the day in UTC, for SINCE and BEFORE (RFC 9051 §6.4.4 disregards time and zone).
    public static func day(_ date: Date, offsetSeconds: Int = 0) -> Int {
        Int(min(max(((date.timeIntervalSince1970 + Double(offsetSeconds)) / 86_400).rounded(.down), -1e9), 1e9))
    }

    /// The day of `day "-" month "-" year`; `nil` for another text.
    static func parseDay(_ text: Substring) -> Int? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, let day = number(parts[0], digits: 1...2), (1...31).contains(day),
            let year = number(parts[2], digits: 4...4), year > 0,
            let month = months.firstIndex(where: { $0.lowercased() == parts[1].lowercased() })
        else { return nil }
        let number = days(year: year, month: month + 1, day: day)
        let civil = civil(number)
        return civil.day == day && civil.month == month + 1 ? number : nil
    }

    /// Digits only: `Int` would take signs too.
    private static func number(_ text: Substring, digits: ClosedRange<Int>) -> Int? {
        guard digits.contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text)
    }

    /// The moment of ` 1-Jul-1996 02:44:25 -0700`; `nil` for another text.
    static func parseMoment(_ text: String) -> Date? {
        let trimmed = text.first == " " ? text.dropFirst() : text[...]
        let parts = trimmed.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 3, let day = parseDay(parts[0]) else { return nil }
        let time = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        guard time.count == 3, let hour = number(time[0], digits: 2...2), let minute = number(time[1], digits: 2...2),
            let second = number(time[2], digits: 2...2), hour < 24, minute < 60, second <= 60,
            let sign = parts[2].first, sign == "+" || sign == "-",
            let zone = number(parts[2].dropFirst(), digits: 4...4), zone % 100 < 60
        else { return nil }
        let offset = (zone / 100 * 3600 + zone % 100 * 60) * (sign == "-" ? -1 : 1)
        return Date(timeIntervalSince1970: Double(day * 86_400 + hour * 3600 + minute * 60 + second - offset))
    }
}
