import FoundationEssentials
import NIOCore

@testable import MailAuthentication

/// BIMI: records, locations and selectors, indicators, and certificates with their marks. The first option takes the octets for the DER of a
/// certificate.
enum BIMITarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        record(input.octets)
        indicator(input.octets)
        mark(input)
    }

    private static func record(_ octets: [UInt8]) {
        if let record = try? BIMIRecord(parsing: octets) {
            require(BIMIRecord.isRecord(octets), "a record that doesn't begin as one")
            require((record.localPartPrefixes ?? []).count <= BIMIRecord.prefixLimit, "\((record.localPartPrefixes ?? []).count) prefixes")
            for location in [record.location, record.evidenceLocation].compactMap({ $0 }) { check(location) }
        }
        guard octets.count <= 8_192 else { return }
        let text = String(decoding: octets, as: UTF8.self)
        if let location = try? BIMILocation(text) { check(location) }
        if let selector = try? BIMISelector(fieldValue: octets) {
            require((try? BIMISelector(selector.name)) == selector, "the selector \(selector) isn't its own name")
        }
        if let selector = BIMILocalPart.selector(text) { require(selector.isPrintable && selector.utf8.count <= 63, "the selector \(selector)") }
    }

    private static func check(_ location: BIMILocation) {
        require(location.text.isPrintable && location.target.isPrintable, "the location \(location)")
        require(location.target.hasPrefix("/"), "the target \(location.target)")
        require(location.text.lowercased().hasPrefix("https://"), "the location \(location)")
    }

    private static func indicator(_ octets: [UInt8]) {
        let limits = BIMIIndicator.Limits()
        let report = BIMIIndicator.judge(octets: octets, limits: limits)
        require(report.problems.count <= limits.problems + 1, "\(report.problems.count) problems")
        require(report.svg.count <= limits.octets, "\(report.svg.count) octets of SVG")
        for problem in report.problems { require(!problem.description.isEmpty, "a problem without words") }
        guard report.isAccepted else { return }
        harmless(report.svg)
        // Whether it came compressed makes no difference.
        if !report.isCompressed, let packed = try? ReportDeflater.gzip(report.svg), packed.count <= limits.octets {
            let other = BIMIIndicator.judge(octets: packed, limits: limits)
            require(other.isAccepted && other.digest == report.digest, "compressed it isn't accepted: \(other.problems)")
        }
        let field = BIMIFields.indicator(report.svg)
        require(field.utf8.allSatisfy { $0 < 0x7F }, "octets in a field that can't stand there")
        require(field.utf8.hasWholeLineEnds, "a bare CR or LF in a field")
    }

    /// By a reader of a few lines: no script, no reference to the outside, no declaration.
    private static func harmless(_ svg: [UInt8]) {
        var rest = svg[...]
        while let open = rest.firstIndex(of: UInt8(ascii: "<")) {
            rest = rest[(open + 1)...]
            if rest.starts(with: "!--".utf8) || rest.starts(with: "![CDATA[".utf8) {
                let isComment = rest.starts(with: "!--".utf8)
                rest = behind(rest.dropFirst(3), Array((isComment ? "-->" : "]]>").utf8))
                continue
            }
            require(!rest.starts(with: "!".utf8), "a declaration is accepted")
            // The declaration of XML itself is what every document may begin with.
            let isDeclaration = rest.starts(with: "?xml".utf8) && rest.dropFirst(4).first.map { $0 <= 0x20 } == true
            require(!rest.starts(with: "?".utf8) || isDeclaration, "a processing instruction is accepted")
            var tag: [UInt8] = []
            var quote: UInt8?
            while let octet = rest.popFirst() {
                if quote == nil, octet == UInt8(ascii: ">") { break }
                if octet == quote { quote = nil } else if quote == nil, octet == 0x22 || octet == 0x27 { quote = octet }
                tag.append(octet)
            }
            check(tag: tag)
        }
    }

    private static func behind(_ octets: ArraySlice<UInt8>, _ end: [UInt8]) -> ArraySlice<UInt8> {
        var rest = octets
        while !rest.isEmpty, !rest.starts(with: end) { rest.removeFirst() }
        return rest.dropFirst(end.count)
    }

    private static func check(tag: [UInt8]) {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
        let name = String(decoding: tag.prefix { !isSpace($0) && $0 != UInt8(ascii: "/") }, as: UTF8.self).lowercased()
        let local = name.split(separator: ":").last.map(String.init) ?? name
        require(!["script", "foreignobject", "image", "animate", "set", "style", "a", "iframe"].contains(local), "the element \(name) is accepted")
        var rest = tag[...]
        while let equals = rest.firstIndex(of: UInt8(ascii: "=")) {
            let before = rest[..<equals].reversed().drop(while: isSpace).prefix { !isSpace($0) }
            let attribute = String(decoding: before.reversed(), as: UTF8.self).lowercased()
            let value = rest[(equals + 1)...].drop(while: isSpace)
            guard let quote = value.first else { return }
            let text = value.dropFirst().prefix { $0 != quote }
            rest = value.dropFirst(text.count + 2)
            let local = attribute.split(separator: ":").last.map(String.init) ?? attribute
            require(!local.hasPrefix("on"), "the attribute \(attribute) is accepted")
            guard local == "href", !attribute.hasPrefix("xmlns") else { continue }
            require(text.starts(with: "#".utf8) || text.starts(with: "&#".utf8), "the reference \(String(decoding: text, as: UTF8.self)) is accepted")
        }
    }

    private static func mark(_ input: Input) {
        if let logotype = try? BIMILogotype(extensionValue: input.octets[...], limit: 32 << 10) {
            require(logotype.svg.count <= 32 << 10 && !logotype.digests.isEmpty, "a mark without a digest")
        }
        let document =
            input.has(0)
            ? Array("-----BEGIN CERTIFICATE-----\n\(Data(input.octets).base64EncodedString())\n-----END CERTIFICATE-----\n".utf8) : input.octets
        guard document.starts(with: "-----BEGIN".utf8) || document.count < 65_536 else { return }
        if let roots = try? BIMIRoots(parsingPEM: document) {
            require(roots.count <= BIMIRoots.limit, "\(roots.count) roots")
            let trusting = CallingThread.run { await BIMIMarkVerifier(roots: roots).verify(document, for: nil, at: fuzzedTime) }
            require(!trusting.isValid || trusting.logotype != nil, "a valid mark without its logo")
        }
        let report = CallingThread.run { await BIMIMarkVerifier(roots: BIMIRoots()).verify(document, for: nil, at: fuzzedTime) }
        require(!report.isValid, "a mark is valid without an authority")
        require(report.certificates.count <= BIMIMarkVerifier.Limits().certificates, "\(report.certificates.count) certificates")
        for problem in report.problems { require(!problem.description.isEmpty, "a problem without words") }
    }
}
