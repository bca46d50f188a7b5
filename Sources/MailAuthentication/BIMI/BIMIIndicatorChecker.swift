/// Compares the events of a document with the profile (draft-svg-tiny-ps-abrotman). It knows nothing of XML's octets.
struct BIMIIndicatorChecker {
    /// A name with its namespace; empty where there is none.
    struct Name: Hashable {
        var namespace: String
        var local: String
    }

    /// Where an event is.
    struct Position {
        var line: Int
        var column: Int
    }

    /// An element as far as `use` may repeat it.
    private struct Node {
        var children: [Int] = []
        var target: String?
        var position: Position
    }

    private let limits: BIMIIndicator.Limits
    private(set) var problems: [BIMIIndicatorProblem] = []
    private(set) var title: String?
    private(set) var size: [Double]?
    private(set) var elementCount = 0
    /// The open elements: the name in the profile, `nil` below a refused one, and the number of its node.
    private var open: [(name: String?, node: Int)] = []
    private var nodes: [Node] = []
    private var places: [String: Int] = [:]
    private var titlePosition: Position?
    private var rootHasChild = false

    init(limits: BIMIIndicator.Limits) { self.limits = limits }

    mutating func report(_ reason: BIMIIndicatorProblem.Reason, _ position: Position?) {
        guard problems.count < limits.problems else { return }
        problems.append(BIMIIndicatorProblem(reason: reason, line: position?.line, column: position?.column))
    }

    // MARK: Events

    /// - Returns: whether it is worth going on.
    mutating func start(_ name: Name, _ attributes: [(name: Name, value: String)], _ position: Position) -> Bool {
        elementCount += 1
        guard elementCount <= limits.elements else {
            report(.tooManyElements(limit: limits.elements), position)
            return false
        }
        guard open.count < limits.depth else {
            report(.tooDeep(limit: limits.depth), position)
            return false
        }
        guard attributes.count <= limits.attributes else {
            report(.tooManyAttributes(limit: limits.attributes), position)
            return false
        }
        let number = nodes.count
        nodes.append(Node(position: position))
        if let parent = open.last { nodes[parent.node].children.append(number) }
        let element = open.isEmpty ? checkRoot(name, position) : checkElement(name, position)
        if open.count == 1 { rootHasChild = true }
        // What lies in a refused element is looked at as well: every problem is told.
        for attribute in attributes {
            checkAttribute(attribute.name, attribute.value, element: element ?? name.local, isKnown: element != nil, number, position)
        }
        if open.isEmpty { checkRootAttributes(attributes, position) }
        open.append((element, number))
        return true
    }

    mutating func end() {
        guard let closed = open.popLast(), closed.name == "title", open.count == 1 else { return }
        let position = titlePosition
        let text = trimmed(title ?? "")
        title = text
        if text.isEmpty { report(.emptyTitle, position) }
        if text.unicodeScalars.count > limits.titleCharacters {
            report(.titleTooLong(characters: text.unicodeScalars.count, limit: limits.titleCharacters), position)
        }
    }

    mutating func text(_ text: String, _ position: Position) {
        guard let name = open.last?.name, let element = BIMISVGProfile.elements[name] else { return }
        if element.hasText {
            // The document is no larger than its limit, and so is its title.
            if name == "title", open.count == 2 { title = (title ?? "") + text }
        } else if !text.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }) {
            report(.text(element: name), position)
        }
    }

    mutating func finish() {
        if elementCount > 0, titlePosition == nil { report(.missingTitle, nil) }
        checkUses()
    }

    private func trimmed(_ text: String) -> String {
        func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace || scalar.properties.generalCategory == .format }
        let scalars = text.unicodeScalars
        guard let first = scalars.firstIndex(where: { !isBlank($0) }), let last = scalars.lastIndex(where: { !isBlank($0) }) else { return "" }
        return String(scalars[first...last])
    }

    // MARK: Elements

    private mutating func checkRoot(_ name: Name, _ position: Position) -> String? {
        guard name == Name(namespace: BIMISVGProfile.svgNamespace, local: "svg") else {
            report(.rootElement(String(name.local.prefix(64))), position)
            return nil
        }
        return "svg"
    }

    private mutating func checkElement(_ name: Name, _ position: Position) -> String? {
        let local = name.local
        let shown = String(local.prefix(64))
        // Those that are dangerous are named for what they are, in whatever namespace they come.
        if BIMISVGProfile.scripts.contains(local) {
            report(.script(shown), position)
        } else if local == "style" {
            report(.styleSheet, position)
        } else if BIMISVGProfile.animations.contains(local) {
            report(.animation(shown), position)
        } else if BIMISVGProfile.multimedia.contains(local) {
            report(.multimedia(shown), position)
        } else if local == "foreignObject" {
            report(.foreignObject, position)
        } else if local == "a" {
            report(.link, position)
        } else if name.namespace != BIMISVGProfile.svgNamespace {
            report(.foreignElement(shown), position)
        } else if let parent = open.last?.name {
            guard BIMISVGProfile.elements[local] != nil, BIMISVGProfile.elements[parent]?.children.contains(local) == true else {
                report(.element(shown, parent: parent), position)
                // A known element in a wrong place is known still: what lies in it is compared with what it may have.
                return BIMISVGProfile.elements[local] == nil || local == "svg" ? nil : local
            }
            if local == "title" {
                if titlePosition != nil {
                    report(.severalTitles, position)
                } else {
                    titlePosition = position
                    if rootHasChild { report(.titleNotFirst, position) }
                }
            }
            return local
        } else if BIMISVGProfile.elements[local] != nil, local != "svg" {
            return local
        } else {
            report(.element(shown, parent: nil), position)
        }
        return nil
    }

    // MARK: Attributes

    private mutating func checkRootAttributes(_ attributes: [(name: Name, value: String)], _ position: Position) {
        func value(_ name: String) -> String? { attributes.first { $0.name == Name(namespace: "", local: name) }?.value }
        if value("baseProfile") != "tiny-ps" { report(.baseProfile(value("baseProfile").map { String($0.prefix(32)) }), position) }
        if value("version") != "1.2" { report(.version(value("version").map { String($0.prefix(32)) }), position) }
        if let viewBox = value("viewBox") {
            guard let numbers = BIMISVGNumber.list(viewBox), numbers.count == 4, numbers[2] > 0, numbers[3] > 0 else {
                report(.invalidViewBox(String(viewBox.prefix(64))), position)
                return
            }
            checkSquare(numbers[2], numbers[3], position)
        } else if let width = value("width").flatMap({ BIMISVGNumber.list($0) })?.first, width > 0,
            let height = value("height").flatMap({ BIMISVGNumber.list($0) })?.first, height > 0
        {
            checkSquare(width, height, position)
        } else {
            report(.missingViewBox, position)
        }
    }

    private mutating func checkSquare(_ width: Double, _ height: Double, _ position: Position) {
        size = [width, height]
        // Drawing programs round.
        if abs(width - height) > max(width, height) * 0.005 { report(.notSquare(width: width, height: height), position) }
    }

    private mutating func checkAttribute(_ name: Name, _ value: String, element: String, isKnown: Bool, _ node: Int, _ position: Position) {
        let local = name.local
        let shown: String
        switch name.namespace {
        case "": shown = local
        case BIMISVGProfile.xmlNamespace: shown = "xml:" + local
        case BIMISVGProfile.linkNamespace: shown = "xlink:" + local
        default: shown = "{\(name.namespace.prefix(64))}\(local.prefix(64))"
        }
        let lowered = local.lowercased()
        if name.namespace.isEmpty || name.namespace == BIMISVGProfile.svgNamespace, lowered.hasPrefix("on") {
            report(.eventAttribute(String(shown.prefix(64))), position)
            return
        }
        if lowered == "style" {
            report(.styleAttribute, position)
            return
        }
        if open.isEmpty, name.namespace.isEmpty, local == "x" || local == "y" {
            report(.rootPosition(local), position)
            return
        }
        // Where a reference leads is told whether the attribute may stand there or not.
        checkReferences(shown, local, value, position)
        let plain = shown == "xlink:href" ? "href" : shown
        if isKnown {
            guard let allowed = BIMISVGProfile.elements[element]?.attributes, allowed.contains(plain) else {
                report(.attribute(String(shown.prefix(64)), element: element), position)
                return
            }
        }
        checkValue(plain, value, position)
        if plain == "id" || plain == "xml:id" {
            if places.updateValue(node, forKey: value) != nil { report(.repeatedID(String(value.prefix(64))), position) }
        } else if plain == "href", value.hasPrefix("#") {
            nodes[node].target = String(value.dropFirst())
        }
    }

    private mutating func checkReferences(_ shown: String, _ local: String, _ value: String, _ position: Position) {
        let attribute = String(shown.prefix(64))
        // Browsers pass over blanks and control characters in URIs, and so does this.
        let compact = String(decoding: value.utf8.filter { $0 > 0x20 && $0 != 0x7F }, as: UTF8.self).lowercased()
        let isHref = local.lowercased() == "href" || local.lowercased() == "src"
        if compact.contains("javascript:") || compact.contains("vbscript:") {
            report(.scriptReference(attribute: attribute), position)
        } else if compact.hasPrefix("data:") || compact.contains("(data:") || compact.contains("(\"data:") || compact.contains("('data:") {
            report(.dataReference(attribute: attribute), position)
        } else if isHref, !Self.isFragment(value) {
            report(.externalReference(attribute: attribute), position)
        } else if shown == "xml:base", !value.isEmpty {
            // A base would lead "#name" out of the document.
            report(.externalReference(attribute: attribute), position)
        } else if shown == "requiredFonts", value.contains(":") {
            report(.externalReference(attribute: attribute), position)
        } else {
            var rest = compact[...]
            while let function = rest.firstRange(of: "url(") {
                rest = rest[function.upperBound...]
                let target = rest.prefix { $0 != ")" }
                let bare =
                    target.count >= 2 && (target.first == "\"" || target.first == "'") && target.first == target.last ? target.dropFirst().dropLast() : target
                if !Self.isFragment(bare) {
                    report(.externalReference(attribute: attribute), position)
                    return
                }
            }
        }
    }

    /// `#name` and nothing more.
    private static func isFragment(_ text: some StringProtocol) -> Bool {
        guard text.hasPrefix("#"), text.utf8.count > 1 else { return false }
        return text.utf8.dropFirst().allSatisfy(isNameOctet)
    }

    private static func isNameOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "_"), UInt8(ascii: "."), 0x80...0xFF:
            true
        default: false
        }
    }

    private mutating func checkValue(_ name: String, _ value: String, _ position: Position) {
        let isValid: Bool
        if let words = BIMISVGProfile.words[name] {
            isValid = words.contains(value)
        } else if name == "preserveAspectRatio" {
            // The schema's pattern: \s*(none|xMidYMid)\s*(meet)?\s*
            let parts = value.split { $0 == " " || $0 == "\t" || $0 == "\n" || $0 == "\r" }.map(String.init)
            isValid = [["none"], ["xMidYMid"], ["none", "meet"], ["xMidYMid", "meet"], ["nonemeet"], ["xMidYMidmeet"]].contains(parts)
        } else if name == "id" || name == "xml:id" {
            isValid =
                !value.isEmpty && value.utf8.allSatisfy(Self.isNameOctet)
                && value.utf8.first.map { !(0x30...0x39).contains($0) && $0 != 0x2D && $0 != 0x2E } == true
        } else if name == "font-weight" {
            isValid = ["normal", "bold", "bolder", "lighter", "inherit"].contains(value) || BIMISVGNumber.list(value)?.count == 1
        } else if BIMISVGProfile.freeText.contains(name) {
            isValid = true
        } else {
            isValid = Self.hasOnlyFunctions(BIMISVGProfile.functions(of: name), value)
        }
        if !isValid { report(.attributeValue(String(name.prefix(64)), value: String(value.prefix(64))), position) }
    }

    /// Renderers read presentation attributes as CSS: no escapes, no comments, no at-rules, and no functions but the known ones.
    private static func hasOnlyFunctions(_ functions: Set<String>, _ value: String) -> Bool {
        var word: [UInt8] = []
        var last: UInt8 = 0
        for octet in value.utf8 {
            switch octet {
            case UInt8(ascii: "\\"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "@"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: ";"),
                UInt8(ascii: "&"):
                return false
            case UInt8(ascii: "*") where last == UInt8(ascii: "/"): return false
            case UInt8(ascii: "("):
                guard functions.contains(String(decoding: word, as: UTF8.self).lowercased()) else { return false }
                word = []
            case 0x20, 0x09, 0x0A, 0x0D:
                // "translate (1)" is one function: the blank between name and parenthesis doesn't part them.
                break
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                if last == 0x20 || last == 0x09 || last == 0x0A || last == 0x0D { word = [] }
                word.append(octet)
            default: word = []
            }
            last = octet
        }
        return true
    }

    // MARK: Uses

    /// Counts the elements that a renderer would draw. Nothing may contain itself, and the sum has a limit: ten levels of ten uses each
    /// are a small document and ten thousand million elements.
    private mutating func checkUses() {
        guard nodes.contains(where: { $0.target != nil }) else { return }
        var weights = [Int?](repeating: nil, count: nodes.count)
        var isOpen = [Bool](repeating: false, count: nodes.count)
        // Without recursion: a chain of uses may be as long as the document.
        var stack: [(node: Int, isLeaving: Bool)] = [(0, false)]
        while let (node, isLeaving) = stack.popLast() {
            var edges = nodes[node].children
            if let target = nodes[node].target, let place = places[target] { edges.append(place) }
            if isLeaving {
                isOpen[node] = false
                weights[node] = edges.reduce(1) { min($0 + (weights[$1] ?? 0), limits.expandedElements + 1) }
                continue
            }
            guard weights[node] == nil, !isOpen[node] else { continue }
            isOpen[node] = true
            stack.append((node, true))
            for edge in edges {
                if isOpen[edge] {
                    report(.recursion(String((nodes[node].target ?? "").prefix(64))), nodes[node].position)
                    return
                }
                if weights[edge] == nil { stack.append((edge, false)) }
            }
        }
        if let sum = weights.first, let sum, sum > limits.expandedElements { report(.expansion(limit: limits.expandedElements), nil) }
    }
}

/// Numbers as SVG writes them (SVG Tiny 1.2 §4.2).
enum BIMISVGNumber {
    /// Numbers with blanks or a comma between them; `nil` where something else stands there. A unit after a number is passed over.
    static func list(_ text: String) -> [Double]? {
        var numbers: [Double] = []
        for part in text.split(whereSeparator: { $0 == " " || $0 == "," || $0 == "\t" || $0 == "\n" || $0 == "\r" }) {
            var digits = part[...]
            for unit in ["px", "pt", "mm", "cm", "in", "pc", "em", "ex", "%"] where digits.hasSuffix(unit) {
                digits = digits.dropLast(unit.count)
                break
            }
            // Double reads "inf", "nan" and hexadecimal digits, which are no numbers here.
            guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }), numbers.count < 8, digits.utf8.count <= 32,
                let number = Double(digits), number.isFinite
            else { return nil }
            numbers.append(number)
        }
        return numbers
    }
}
