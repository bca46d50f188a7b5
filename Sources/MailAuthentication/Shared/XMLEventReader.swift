import CExpat

/// Reads XML that strangers wrote: elements, attributes and text, and nothing that could reach out of the document or make it grow. Document types,
/// and with them entities, are refused (OWASP's XML External Entity Prevention); so are documents that are too large, too deep or too rich.
public struct XMLEventReader: Sendable {
    /// How much a document may have.
    public struct Limits: Sendable, Hashable {
        /// Octets of the document.
        public var size = 64 << 20
        /// Elements within elements.
        public var depth = 64
        public var elements = 2_000_000
        /// Attributes of one element.
        public var attributes = 200
        /// Octets of one attribute, and of the text between two tags.
        public var textLength = 1 << 20
        public var allowsProcessingInstructions = false
        public init() {}
    }

    /// A name with its namespace.
    public struct Name: Sendable, Hashable, CustomStringConvertible {
        /// The namespace; empty for none.
        public var namespace: String
        public var local: String
        public var description: String { namespace.isEmpty ? local : "{\(namespace)}\(local)" }
    }

    /// A place in the document, from 1.
    public struct Place: Sendable, Hashable, Codable, CustomStringConvertible {
        public var line: Int
        public var column: Int
        public var description: String { "line \(line), column \(column)" }
    }

    /// What stands in the document, in order.
    public enum Event: Sendable {
        case start(Name, attributes: [(name: Name, value: String)], Place)
        case end(Name)
        /// The text between two tags, as one piece.
        case text(String)
        case processingInstruction(target: String, Place)
    }

    /// Why a document isn't read.
    public struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
        public var reason: String
        public var place: Place
        public var description: String { "\(reason) (\(place))" }
    }

    private let limits: Limits

    public init(limits: Limits = Limits()) { self.limits = limits }

    /// Reads a document.
    /// - Parameter handle: gets the events in order; what it throws ends the reading.
    /// - Throws: ``Failure``, or what `handle` throws.
    public func read(_ octets: [UInt8], _ handle: (Event) throws -> Void) throws {
        guard octets.count <= limits.size else {
            throw Failure(reason: "the document has more than \(limits.size) octets", place: Place(line: 1, column: 1))
        }
        // The handlers run only while `parse` does, which is within the life of the closure.
        try withoutActuallyEscaping(handle) { handle in
            let state = XMLParserState(limits: limits, handle: handle)
            try state.parse(octets)
        }
    }
}

/// What the C library’s handlers work on. Safe: the parser is made, used and freed within `parse`.
@safe private final class XMLParserState {
    let limits: XMLEventReader.Limits
    let handle: (XMLEventReader.Event) throws -> Void
    private var parser: XML_Parser?
    private var failure: (any Error)?
    private var text: [UInt8] = []
    private var depth = 0
    private var elements = 0

    init(limits: XMLEventReader.Limits, handle: @escaping (XMLEventReader.Event) throws -> Void) {
        self.limits = limits
        self.handle = handle
    }

    func parse(_ octets: [UInt8]) throws {
        guard let parser = unsafe XML_ParserCreateNS(nil, 0x20) else {
            throw XMLEventReader.Failure(reason: "no memory for a parser", place: .init(line: 1, column: 1))
        }
        unsafe self.parser = parser
        defer { unsafe XML_ParserFree(parser) }
        // Unretained: the parser lives no longer than this call, and this object longer than the call.
        unsafe XML_SetUserData(parser, Unmanaged.passUnretained(self).toOpaque())
        unsafe XML_SetElementHandler(
            parser, { data, name, attributes in unsafe XMLParserState.of(data)?.start(name, attributes) },
            { data, name in unsafe XMLParserState.of(data)?.end(name) })
        unsafe XML_SetCharacterDataHandler(parser) { data, octets, count in unsafe XMLParserState.of(data)?.characters(octets, Int(count)) }
        unsafe XML_SetStartDoctypeDeclHandler(parser) { data, _, _, _, _ in
            unsafe XMLParserState.of(data)?.fail("a document type is declared, which isn't allowed")
        }
        unsafe XML_SetEntityDeclHandler(parser) { data, _, _, _, _, _, _, _, _ in
            unsafe XMLParserState.of(data)?.fail("an entity is declared, which isn't allowed")
        }
        unsafe XML_SetProcessingInstructionHandler(parser) { data, target, _ in unsafe XMLParserState.of(data)?.instruction(target) }
        unsafe XML_SetUnknownEncodingHandler(parser, { _, name, encoding in unsafe XMLEncodings.fill(encoding, named: name) }, nil)
        var offset = 0
        // In pieces, because the library counts octets of a piece as a C int.
        repeat {
            let end = min(offset + (1 << 20), octets.count)
            let isLast = end == octets.count
            let status = unsafe octets[offset..<end].withUnsafeBytes { piece in
                unsafe XML_Parse(parser, piece.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(piece.count), isLast ? 1 : 0)
            }
            if let failure { throw failure }
            guard status == XML_STATUS_OK else {
                let reason = unsafe XML_ErrorString(XML_GetErrorCode(parser)).map { unsafe String(cString: $0) } ?? "it is no XML"
                throw XMLEventReader.Failure(reason: reason, place: place)
            }
            offset = end
        } while offset < octets.count
    }

    private static func of(_ data: UnsafeMutableRawPointer?) -> XMLParserState? {
        // What `parse` has put there, which waits for the library to return.
        unsafe data.map { unsafe Unmanaged<XMLParserState>.fromOpaque($0).takeUnretainedValue() }
    }

    private var place: XMLEventReader.Place {
        guard let parser = unsafe parser else { return .init(line: 1, column: 1) }
        return unsafe .init(line: Int(XML_GetCurrentLineNumber(parser)), column: Int(XML_GetCurrentColumnNumber(parser)) + 1)
    }

    private func fail(_ reason: String) { stop(XMLEventReader.Failure(reason: reason, place: place)) }

    private func stop(_ error: any Error) {
        guard failure == nil else { return }
        failure = error
        if let parser = unsafe parser { unsafe XML_StopParser(parser, XML_Bool(XML_FALSE)) }
    }

    private func tell(_ event: XMLEventReader.Event) {
        guard failure == nil else { return }
        do {
            try handle(event)
        } catch {
            stop(error)
        }
    }

    private func flush() {
        guard !text.isEmpty else { return }
        let piece = String(decoding: text, as: UTF8.self)
        text.removeAll(keepingCapacity: true)
        tell(.text(piece))
    }

    private func start(_ name: UnsafePointer<CChar>?, _ attributes: UnsafeMutablePointer<UnsafePointer<CChar>?>?) {
        flush()
        guard failure == nil, let name = unsafe Self.name(name) else { return }
        depth += 1
        elements += 1
        guard depth <= limits.depth else { return fail("more than \(limits.depth) elements lie within each other") }
        guard elements <= limits.elements else { return fail("there are more than \(limits.elements) elements") }
        var found: [(name: XMLEventReader.Name, value: String)] = []
        if let attributes = unsafe attributes {
            var index = 0
            // Names and values in turn, and nil at the end: that is how the library hands them over.
            while let attribute = unsafe Self.name(attributes[index]), let value = unsafe attributes[index + 1] {
                let text = unsafe String(cString: value)
                guard text.utf8.count <= limits.textLength else { return fail("an attribute is longer than \(limits.textLength) octets") }
                guard found.count < limits.attributes else { return fail("an element has more than \(limits.attributes) attributes") }
                found.append((attribute, text))
                index += 2
            }
        }
        tell(.start(name, attributes: found, place))
    }

    private func end(_ name: UnsafePointer<CChar>?) {
        flush()
        depth -= 1
        guard let name = unsafe Self.name(name) else { return }
        tell(.end(name))
    }

    private func characters(_ octets: UnsafePointer<CChar>?, _ count: Int) {
        guard failure == nil, let octets = unsafe octets, count > 0 else { return }
        guard text.count + count <= limits.textLength else { return fail("a text is longer than \(limits.textLength) octets") }
        // The library says how many octets there are.
        unsafe text.append(contentsOf: UnsafeRawBufferPointer(start: octets, count: count))
    }

    private func instruction(_ target: UnsafePointer<CChar>?) {
        flush()
        guard limits.allowsProcessingInstructions else { return fail("a processing instruction, which isn't allowed") }
        guard let target = unsafe target else { return }
        let text = unsafe String(cString: target)
        tell(.processingInstruction(target: text, place))
    }

    /// `namespace local`, as the library was told to write it.
    private static func name(_ text: UnsafePointer<CChar>?) -> XMLEventReader.Name? {
        guard let text = unsafe text else { return nil }
        let whole = unsafe String(cString: text)
        guard let space = whole.lastIndex(of: " ") else { return .init(namespace: "", local: whole) }
        return .init(namespace: String(whole[..<space]), local: String(whole[whole.index(after: space)...]))
    }
}
