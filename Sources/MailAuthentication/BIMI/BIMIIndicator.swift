/// Judges indicators: SVG Tiny Portable/Secure, and nothing else (draft-brand-indicators-for-message-identification-12 §7.6,
/// draft-svg-tiny-ps-abrotman). A mail program will draw what passes here, so everything that isn't known to be harmless is refused.
public enum BIMIIndicator {
    /// How much an indicator may have.
    public struct Limits: Sendable, Hashable {
        /// The octets of the document, compressed and unpacked: 32 KiB, as the profile recommends.
        public var octets = 32 << 10
        /// Characters of the title: 64, as the profile recommends.
        public var titleCharacters = 64
        /// Elements within elements.
        public var depth = 48
        /// Elements in all.
        public var elements = 8000
        /// Attributes of an element.
        public var attributes = 64
        /// Elements that are drawn once every `use` is followed.
        public var expandedElements = 20_000
        /// Problems that are told; a document with so many isn't read to its end.
        public var problems = 100

        /// The limits that the drafts recommend.
        public init() {}
    }

    /// Judges a document, compressed (SVGZ) or not.
    public static func judge(octets: [UInt8], limits: Limits = Limits()) -> BIMIIndicatorReport {
        var report = BIMIIndicatorReport()
        report.octets = octets.count
        report.isCompressed = BIMIGzip.isGzip(octets)
        func refuse(_ reason: BIMIIndicatorProblem.Reason) -> BIMIIndicatorReport {
            report.problems.append(BIMIIndicatorProblem(reason: reason, line: nil, column: nil))
            return report
        }
        guard octets.count <= limits.octets else { return refuse(.tooLarge(octets: octets.count, limit: limits.octets)) }
        var svg = octets
        if report.isCompressed {
            do {
                svg = try BIMIGzip.unpack(octets, limit: limits.octets)
            } catch {
                switch error {
                case .tooLarge: return refuse(.tooLargeUnpacked(limit: limits.octets))
                case .damaged, .trailingOctets: return refuse(.damagedCompression)
                }
            }
        }
        // One reading for everybody: other programs must not see other characters than this one does.
        guard String(validating: svg, as: UTF8.self) != nil, !svg.contains(0) else { return refuse(.encoding("the octets aren't UTF-8")) }
        if let encoding = declaredEncoding(svg), !["utf-8", "utf8", "us-ascii", "ascii"].contains(encoding.lowercased()) {
            return refuse(.encoding("the declaration says “\(encoding.prefix(32))”"))
        }
        report.svg = svg
        report.digest = BIMIDigest.sha256(svg)
        let checker = read(svg, limits)
        report.problems = checker.problems
        report.title = checker.title
        report.size = checker.size
        report.elements = checker.elementCount
        return report
    }

    private struct Enough: Error {}

    private static func read(_ svg: [UInt8], _ limits: Limits) -> BIMIIndicatorChecker {
        var checker = BIMIIndicatorChecker(limits: limits)
        var last = BIMIIndicatorChecker.Position(line: 1, column: 1)
        // Wider than the checker's own, which name the rule.
        var readerLimits = XMLEventReader.Limits()
        readerLimits.size = limits.octets
        readerLimits.depth = limits.depth + 1
        readerLimits.elements = limits.elements + 1
        readerLimits.attributes = limits.octets
        readerLimits.textLength = limits.octets
        readerLimits.allowsProcessingInstructions = true
        do {
            try XMLEventReader(limits: readerLimits).read(svg) { event in
                switch event {
                case .start(let name, let attributes, let place):
                    last = .init(line: place.line, column: place.column)
                    let named = attributes.map { (name: BIMIIndicatorChecker.Name(namespace: $0.name.namespace, local: $0.name.local), value: $0.value) }
                    guard checker.start(.init(namespace: name.namespace, local: name.local), named, last) else { throw Enough() }
                case .end: checker.end()
                case .text(let text): checker.text(text, last)
                case .processingInstruction(let target, let place):
                    checker.report(.processingInstruction(String(target.prefix(64))), .init(line: place.line, column: place.column))
                }
                guard checker.problems.count < limits.problems else { throw Enough() }
            }
            checker.finish()
        } catch let failure as XMLEventReader.Failure {
            checker.report(reason(of: failure), .init(line: failure.place.line, column: failure.place.column))
        } catch {
            // The checker has told why.
        }
        return checker
    }

    /// The reader says in words why it stops; the two that matter most get a name of their own.
    private static func reason(of failure: XMLEventReader.Failure) -> BIMIIndicatorProblem.Reason {
        if failure.reason.hasPrefix("a document type") { return .documentType }
        if failure.reason.contains("entity") { return .entity(failure.reason) }
        return .notWellFormed(failure.reason)
    }

    /// The encoding in the XML declaration (XML 1.0 §4.3.3); `nil` where there is none.
    private static func declaredEncoding(_ svg: [UInt8]) -> String? {
        var head = svg[...]
        if head.starts(with: [0xEF, 0xBB, 0xBF]) { head = head.dropFirst(3) }
        guard head.starts(with: Array("<?xml".utf8)) else { return nil }
        let end = head.firstIndex(of: UInt8(ascii: ">")) ?? head.endIndex
        let declaration = String(decoding: head[..<end], as: UTF8.self)
        guard let word = declaration.firstRange(of: "encoding") else { return nil }
        let rest = declaration[word.upperBound...].drop { $0 == " " || $0 == "\t" || $0 == "=" || $0 == "\n" || $0 == "\r" }
        guard let quote = rest.first, quote == "\"" || quote == "'" else { return nil }
        return String(rest.dropFirst().prefix { $0 != quote })
    }
}
