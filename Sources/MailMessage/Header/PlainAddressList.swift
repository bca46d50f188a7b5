/// Reads address fields as nearly all are written, `name <local@domain>` or `local@domain` with commas between them: no comments, groups,
/// routes, escapes or blanks where they need not be. Whatever else stands there is left to ``AddressListParser``, which this agrees with.
enum PlainAddressList {
    /// Octets of a field that is tried.
    private static let longest = 16 * 1024

    /// The entries; `nil` where the field isn't so plain.
    static func entries(of octets: [UInt8]) -> [AddressList.Entry]? {
        guard octets.count <= longest else { return nil }
        var entries: [AddressList.Entry] = []
        var place = 0
        while place < octets.count {
            guard let mailbox = mailbox(octets, &place) else { return nil }
            entries.append(.mailbox(mailbox))
            guard place < octets.count else { break }
            guard octets[place] == UInt8(ascii: ",") else { return nil }
            place += 1
            if place < octets.count, octets[place] == 0x20 { place += 1 }
            // Empty elements are not plain.
            guard place < octets.count else { return nil }
        }
        return entries
    }

    /// The mailbox of a field that has one alone; `nil` where it has others, or isn't so plain.
    static func mailbox(of octets: [UInt8]) -> HeaderMailbox? {
        guard !octets.isEmpty, octets.count <= longest else { return nil }
        var place = 0
        guard let mailbox = mailbox(octets, &place), place == octets.count else { return nil }
        return mailbox
    }

    private static func mailbox(_ octets: [UInt8], _ place: inout Int) -> HeaderMailbox? {
        var name: String?
        if octets[place] == UInt8(ascii: "\"") {
            let start = place + 1
            place = start
            while place < octets.count, octets[place] != UInt8(ascii: "\"") {
                guard octets[place] >= 0x20, octets[place] < 0x7f, octets[place] != UInt8(ascii: "\\") else { return nil }
                place += 1
            }
            guard place > start, place < octets.count else { return nil }
            name = String(decoding: octets[start..<place], as: UTF8.self)
            place += 1
            guard follows(octets, &place, 0x20), place < octets.count, octets[place] == UInt8(ascii: "<") else { return nil }
        } else {
            // Words up to a bracket are a name; one word up to an at sign is an address.
            let start = place
            while place < octets.count, isPlain(octets[place]) || octets[place] == 0x20 {
                if octets[place] == 0x20, place == start || octets[place - 1] == 0x20 { return nil }
                place += 1
            }
            guard place > start, place < octets.count else { return nil }
            if octets[place] == UInt8(ascii: "@") {
                return octets[start..<place].contains(0x20) ? nil : address(octets, from: start, &place, name: nil)
            }
            guard octets[place] == UInt8(ascii: "<"), octets[place - 1] == 0x20 else { return nil }
            name = String(decoding: octets[start..<place - 1], as: UTF8.self)
        }
        place += 1
        let start = place
        while place < octets.count, isPlain(octets[place]) { place += 1 }
        guard let mailbox = address(octets, from: start, &place, name: name), follows(octets, &place, UInt8(ascii: ">")) else { return nil }
        return mailbox
    }

    /// The address whose local part goes from `start` to `place`.
    private static func address(_ octets: [UInt8], from start: Int, _ place: inout Int, name: String?) -> HeaderMailbox? {
        guard place > start, place < octets.count, octets[place] == UInt8(ascii: "@") else { return nil }
        let local = String(decoding: octets[start..<place], as: UTF8.self)
        place += 1
        let domain = place
        while place < octets.count, isPlain(octets[place]) { place += 1 }
        guard place > domain else { return nil }
        // Where an encoded-word begins, an at sign may lie within it.
        guard !zip(octets[start..<place], octets[start..<place].dropFirst()).contains(where: { $0 == UInt8(ascii: "=") && $1 == UInt8(ascii: "?") }) else {
            return nil
        }
        return HeaderMailbox(writtenDisplayName: name, localPart: local, domain: String(decoding: octets[domain..<place], as: UTF8.self))
    }

    private static func follows(_ octets: [UInt8], _ place: inout Int, _ octet: UInt8) -> Bool {
        guard place < octets.count, octets[place] == octet else { return false }
        place += 1
        return true
    }

    /// Octets of words and of dots between them (RFC 5322 §3.2.3).
    private static func isPlain(_ octet: UInt8) -> Bool { plain[Int(octet)] }

    private static let plain: [Bool] = (0...255).map { (octet: Int) in
        octet > 0x20 && octet < 0x7f && !"()<>[]:;@\\,\"".utf8.contains(UInt8(truncatingIfNeeded: octet))
    }
}
