import MailMessage
import NIOCore

/// What a form sends: fields, and files.
struct FormBody: Sendable {
    /// A file of a form.
    struct File: Sendable {
        var field: String
        var name: String
        var mediaType: String
        var content: ByteBuffer
    }

    private static let fieldLimit = 100
    private var fields: [String: String] = [:]
    private(set) var files: [File] = []

    /// The value of a field; empty where there is none.
    subscript(name: String) -> String { fields[name] ?? "" }

    /// No fields.
    init() {}

    /// Reads a body by the type that the browser names; `nil` where it can't be read.
    init?(_ body: ByteBuffer, contentType: String) {
        guard let type = ContentType(parsing: Array(contentType.utf8)) else { return nil }
        switch type.mediaType {
        case "application/x-www-form-urlencoded":
            guard let parsed = Self.urlEncoded(String(buffer: body)) else { return nil }
            fields = parsed
        case "multipart/form-data":
            guard let boundary = type.parameters["boundary"], (1...70).contains(boundary.utf8.count) else { return nil }
            guard readParts(body, boundary: Array(boundary.utf8)) else { return nil }
        default: return nil
        }
    }

    /// The fields of a query or of a simple form.
    static func urlEncoded(_ text: String) -> [String: String]? {
        var fields: [String: String] = [:]
        for pair in text.split(separator: "&") {
            guard fields.count < fieldLimit else { return nil }
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Percent.decode(halves[0], plusIsSpace: true), let value = Percent.decode(halves.count > 1 ? halves[1] : "", plusIsSpace: true)
            else { return nil }
            // The first one counts.
            if fields[name] == nil { fields[name] = value }
        }
        return fields
    }

    /// RFC 7578: each part's octets as they are, between delimiters.
    private mutating func readParts(_ body: ByteBuffer, boundary: [UInt8]) -> Bool {
        let octets = Array(body.readableBytesView)
        let delimiter = Array("\r\n--".utf8) + boundary
        guard octets.starts(with: delimiter.dropFirst(2)) else { return false }
        var position = delimiter.count - 2
        var count = 0
        while true {
            if octets[position...].starts(with: Array("--".utf8)) { return true }
            guard octets[position...].starts(with: [13, 10]), count < Self.fieldLimit else { return false }
            // The line's end of the delimiter may be the beginning of an empty header section's.
            let start = position + 2
            guard let end = Self.find(delimiter, in: octets, from: start - 2) else { return false }
            guard let headerEnd = Self.find([13, 10, 13, 10], in: octets, from: start - 2), headerEnd < end, headerEnd - start < 8192 else { return false }
            let content = min(headerEnd + 4, end)..<end
            take(
                ByteBuffer(bytes: octets[(start < headerEnd ? start..<headerEnd : start..<start)] + Array("\r\n\r\n".utf8)), ByteBuffer(bytes: octets[content]))
            position = end + delimiter.count
            count += 1
        }
    }

    private mutating func take(_ header: ByteBuffer, _ content: ByteBuffer) {
        let section = HeaderSection(parsing: header)
        guard let field = section.first(named: "Content-Disposition"), let disposition = Disposition(field.unfoldedOctets), let name = disposition.name else {
            return
        }
        if let fileName = disposition.fileName {
            // Browsers send an empty file where none was chosen.
            guard !fileName.isEmpty || content.readableBytes > 0 else { return }
            files.append(File(field: name, name: fileName, mediaType: section.first(named: "Content-Type")?.value ?? "", content: content))
        } else if fields[name] == nil, let text = String(validating: content.readableBytesView, as: UTF8.self) {
            fields[name] = text
        }
    }

    /// Where `needle` begins. Its first octet is looked for first: CR is rare.
    private static func find(_ needle: [UInt8], in octets: [UInt8], from start: Int) -> Int? {
        guard let first = needle.first else { return nil }
        var position = start
        while position < octets.count, let candidate = octets[position...].firstIndex(of: first) {
            if octets[candidate...].starts(with: needle) { return candidate }
            position = candidate + 1
        }
        return nil
    }

    /// `form-data; name="…"; filename="…"` as browsers write it: UTF-8 in the quotes, and `%22` for a quote (HTML, “multipart form data”).
    private struct Disposition {
        var name: String?
        var fileName: String?

        init?(_ octets: [UInt8]) {
            guard let text = String(validating: octets, as: UTF8.self) else { return nil }
            var rest = text[...]
            guard rest.prefix(while: { $0 != ";" }).lowercased().filter({ !$0.isWhitespace }) == "form-data" else { return nil }
            while let semicolon = rest.firstIndex(of: ";") {
                rest = rest[rest.index(after: semicolon)...].drop(while: \.isWhitespace)
                guard let equals = rest.firstIndex(of: "=") else { break }
                let key = rest[..<equals].lowercased()
                rest = rest[rest.index(after: equals)...]
                guard rest.first == "\"" else { continue }
                rest = rest.dropFirst()
                guard let quote = rest.firstIndex(of: "\"") else { return nil }
                let value = rest[..<quote].replacing("%22", with: "\"").replacing("%0D", with: "").replacing("%0A", with: "")
                rest = rest[rest.index(after: quote)...]
                switch key {
                case "name": name = String(value)
                case "filename": fileName = String(value)
                default: break
                }
            }
        }
    }
}
