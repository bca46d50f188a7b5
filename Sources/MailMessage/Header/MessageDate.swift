public import FoundationEssentials

/// A date and time with its zone as header fields have it (RFC 5322 §3.3).
public struct MessageDate: Hashable, Sendable, CustomStringConvertible {
    /// The moment.
    public let date: Date
    /// The zone's distance from UTC in seconds, positive to the east.
    public let offsetSeconds: Int
    /// Whether the zone is unknown: `-0000`, a military letter, an unknown name or none (RFC 5322 §3.3, §4.3).
    public let isZoneUnknown: Bool

    /// Makes a date-time; the offset is cut to whole minutes within 99:59 hours.
    public init(_ date: Date, offsetSeconds: Int = 0, isZoneUnknown: Bool = false) {
        self.date = date
        let limited = min(max(offsetSeconds, -MessageDate.largestOffset), MessageDate.largestOffset)
        self.offsetSeconds = limited - limited % 60
        self.isZoneUnknown = isZoneUnknown
    }

    private static let largestOffset = (99 * 60 + 59) * 60
    private static let dayNames = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let monthNames = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// `Mon, 23 Nov 2026 21:19:03 +0000`.
    public var description: String {
        let seconds = date.timeIntervalSince1970.rounded(.down)
        // Years 0 to 9999; what lies outside cannot be written with four digits.
        let bounded = Int(min(max(seconds, -62_167_132_800), 253_402_214_400)) + offsetSeconds
        let day = bounded >= 0 ? bounded / 86_400 : (bounded - 86_399) / 86_400
        let second = bounded - day * 86_400
        let civil = MessageDate.civil(ofDay: day)
        let weekday = ((day + 4) % 7 + 7) % 7
        let offset = abs(offsetSeconds) / 60
        // Every message has one or two of them written: octets, not texts that are joined.
        var octets: [UInt8] = []
        octets.reserveCapacity(32)
        octets.append(contentsOf: MessageDate.dayNames[weekday].utf8)
        octets.append(UInt8(ascii: ","))
        octets.append(UInt8(ascii: " "))
        MessageDate.append(civil.day, digits: civil.day < 10 ? 1 : 2, to: &octets)
        octets.append(UInt8(ascii: " "))
        octets.append(contentsOf: MessageDate.monthNames[civil.month - 1].utf8)
        octets.append(UInt8(ascii: " "))
        MessageDate.append(civil.year, digits: 4, to: &octets)
        for (separator, number) in [(" ", second / 3600), (":", second / 60 % 60), (":", second % 60)] as [(Unicode.Scalar, Int)] {
            octets.append(UInt8(ascii: separator))
            MessageDate.append(number, digits: 2, to: &octets)
        }
        octets.append(UInt8(ascii: " "))
        octets.append(isZoneUnknown || offsetSeconds < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"))
        MessageDate.append(isZoneUnknown ? 0 : offset / 60 * 100 + offset % 60, digits: 4, to: &octets)
        return String(decoding: octets, as: UTF8.self)
    }

    /// Appends the last digits of a number that isn't negative.
    private static func append(_ number: Int, digits: Int, to octets: inout [UInt8]) {
        var unit = 1
        for _ in 1..<digits { unit *= 10 }
        while unit > 0 {
            octets.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / unit % 10))
            unit /= 10
        }
    }

    /// Reads a text.
    public init?(parsing text: some StringProtocol) { self.init(parsing: Array(text.utf8)) }

    /// Reads a field's unfolded value, with the obsolete years and zones of RFC 5322 §4.3; `nil` where no date-time is
    /// in it. The name of the day is not compared with the date.
    public init?(parsing octets: [UInt8]) {
        var scanner = StructuredFieldScanner(octets)
        if let peek = {
            scanner.skipCFWS()
            return scanner.peek
        }(), !MessageDate.isDigit(peek) {
            guard MessageDate.word(&scanner) != nil else { return nil }
            _ = scanner.take(UInt8(ascii: ","))
        }
        guard let day = MessageDate.number(&scanner, digits: 1...2) else { return nil }
        _ = scanner.take(UInt8(ascii: "-"))
        guard let name = MessageDate.word(&scanner),
            let month = MessageDate.monthNames.firstIndex(where: { name.prefix(3).equalsIgnoringASCIICase($0) })
        else { return nil }
        _ = scanner.take(UInt8(ascii: "-"))
        guard let year = MessageDate.year(&scanner) else { return nil }
        guard let hour = MessageDate.number(&scanner, digits: 1...2), scanner.take(UInt8(ascii: ":")),
            let minute = MessageDate.number(&scanner, digits: 1...2)
        else { return nil }
        var second = 0
        if scanner.take(UInt8(ascii: ":")) {
            guard let read = MessageDate.number(&scanner, digits: 1...2) else { return nil }
            second = read
        }
        guard hour <= 23, minute <= 59, second <= 60, (1...MessageDate.daysIn(month + 1, year)).contains(day) else {
            return nil
        }
        let zone = MessageDate.zone(&scanner)
        let moment =
            MessageDate.dayNumber(year, month + 1, day) * 86_400 + hour * 3600 + minute * 60 + second - (zone ?? 0)
        self.init(Date(timeIntervalSince1970: Double(moment)), offsetSeconds: zone ?? 0, isZoneUnknown: zone == nil)
    }

    private static func isDigit(_ octet: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(octet) }

    private static func isLetter(_ octet: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(octet.asciiLowercased)
    }

    private static func word(_ scanner: inout StructuredFieldScanner) -> String? {
        scanner.skipCFWS()
        let start = scanner.position
        while let octet = scanner.peek, isLetter(octet), scanner.position - start < 16 { scanner.position += 1 }
        return scanner.position > start
            ? String(decoding: scanner.octets[start..<scanner.position], as: UTF8.self) : nil
    }

    private static func digits(_ scanner: inout StructuredFieldScanner) -> (value: Int, count: Int) {
        scanner.skipCFWS()
        var value = 0
        var count = 0
        while let octet = scanner.peek, isDigit(octet), count < 6 {
            value = value * 10 + Int(octet - UInt8(ascii: "0"))
            count += 1
            scanner.position += 1
        }
        return (value, count)
    }

    private static func number(_ scanner: inout StructuredFieldScanner, digits expected: ClosedRange<Int>) -> Int? {
        let read = digits(&scanner)
        return expected.contains(read.count) ? read.value : nil
    }

    /// Two and three digits are of RFC 5322 §4.3.
    private static func year(_ scanner: inout StructuredFieldScanner) -> Int? {
        let read = digits(&scanner)
        switch read.count {
        case 2: return read.value < 50 ? 2000 + read.value : 1900 + read.value
        case 3: return 1900 + read.value
        case 4: return read.value
        default: return nil
        }
    }

    /// The offset in seconds; `nil` where it is unknown.
    private static func zone(_ scanner: inout StructuredFieldScanner) -> Int? {
        scanner.skipCFWS()
        guard let sign = scanner.peek else { return nil }
        if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
            scanner.position += 1
            let read = digits(&scanner)
            guard read.count == 4, read.value % 100 <= 59 else { return nil }
            if sign == UInt8(ascii: "-"), read.value == 0 { return nil }
            let seconds = (read.value / 100 * 60 + read.value % 100) * 60
            return sign == UInt8(ascii: "-") ? -seconds : seconds
        }
        switch word(&scanner)?.uppercased() {
        case "UT", "GMT", "UTC", "Z": return 0
        case "EDT": return -4 * 3600
        case "EST", "CDT": return -5 * 3600
        case "CST", "MDT": return -6 * 3600
        case "MST", "PDT": return -7 * 3600
        case "PST": return -8 * 3600
        default: return nil
        }
    }

    private static func daysIn(_ month: Int, _ year: Int) -> Int {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }

    /// Days since 1970-01-01 in the Gregorian calendar, for years from 0 on. March is the first month here, so that the
    /// leap day is last.
    private static func dayNumber(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month > 2 ? year : year - 1
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(ofDay number: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = number + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}
