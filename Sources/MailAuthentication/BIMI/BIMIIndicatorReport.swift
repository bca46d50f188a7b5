/// What is wrong with an indicator, and where.
public struct BIMIIndicatorProblem: Sendable, Hashable, CustomStringConvertible {
    /// The rules that can be broken.
    public enum Reason: Sendable, Hashable {
        /// There are more octets than the limit, as they came.
        case tooLarge(octets: Int, limit: Int)
        /// There are more octets than the limit once they are unpacked.
        case tooLargeUnpacked(limit: Int)
        /// The gzip octets are damaged, or something follows them.
        case damagedCompression
        /// The octets are no UTF-8, or the declaration says that they are something else.
        case encoding(String)
        /// It is no well-formed XML.
        case notWellFormed(String)
        /// There is a document type declaration.
        case documentType
        /// An entity is declared or used.
        case entity(String)
        /// There is a processing instruction.
        case processingInstruction(String)
        /// The root is another element than `svg`, or in another namespace.
        case rootElement(String)
        /// `baseProfile` isn't `tiny-ps`.
        case baseProfile(String?)
        /// `version` isn't `1.2`.
        case version(String?)
        /// The root has `x` or `y`.
        case rootPosition(String)
        /// There is no `title`.
        case missingTitle
        /// The title has no text.
        case emptyTitle
        /// The title has more characters than the limit.
        case titleTooLong(characters: Int, limit: Int)
        /// Something stands before the title.
        case titleNotFirst
        /// There is more than one title.
        case severalTitles
        /// There is neither a `viewBox` nor a width and a height that are equal.
        case missingViewBox
        /// The `viewBox` isn't four numbers of which the last two are positive.
        case invalidViewBox(String)
        /// The `viewBox` isn't a square.
        case notSquare(width: Double, height: Double)
        /// There is a script, or what runs one.
        case script(String)
        /// There is a style sheet.
        case styleSheet
        /// There is an animation.
        case animation(String)
        /// There is a picture, a sound or a film.
        case multimedia(String)
        /// There is something that isn't SVG at all.
        case foreignObject
        /// There is a link.
        case link
        /// An element isn't part of the profile, or can't stand there.
        case element(String, parent: String?)
        /// An element of another namespace.
        case foreignElement(String)
        /// An attribute runs a script at an event.
        case eventAttribute(String)
        /// There is a `style` attribute.
        case styleAttribute
        /// An attribute isn't part of the profile, or can't stand there.
        case attribute(String, element: String)
        /// A value isn't one that the profile has.
        case attributeValue(String, value: String)
        /// Something outside of the document is named.
        case externalReference(attribute: String)
        /// A `data:` URI.
        case dataReference(attribute: String)
        /// A URI that runs a script.
        case scriptReference(attribute: String)
        /// Text stands where there can't be any.
        case text(element: String)
        /// An identifier comes twice.
        case repeatedID(String)
        /// `use` leads back to itself.
        case recursion(String)
        /// `use` makes more elements than the limit.
        case expansion(limit: Int)
        /// Elements lie too deep in one another.
        case tooDeep(limit: Int)
        /// There are too many elements.
        case tooManyElements(limit: Int)
        /// An element has too many attributes.
        case tooManyAttributes(limit: Int)
    }

    /// Which rule is broken.
    public var reason: Reason
    /// The line, from 1; `nil` where the whole document is meant.
    public var line: Int?
    /// The column, from 1.
    public var column: Int?

    public var description: String {
        let place = line.map { " (line \($0)" + (column.map { ", column \($0)" } ?? "") + ")" } ?? ""
        return text + place
    }

    private var text: String {
        switch reason {
        case .tooLarge(let octets, let limit): "the indicator has \(octets) octets, more than \(limit)"
        case .tooLargeUnpacked(let limit): "the indicator has more than \(limit) octets once it is unpacked"
        case .damagedCompression: "the compressed octets are damaged (RFC 1952)"
        case .encoding(let what): "the encoding isn't UTF-8: \(what)"
        case .notWellFormed(let what): "the document isn't well-formed XML: \(what)"
        case .documentType: "there is a document type declaration"
        case .entity(let name): "there is the entity “\(name)”"
        case .processingInstruction(let target): "there is the processing instruction “\(target)”"
        case .rootElement(let name): "the root is “\(name)” and not “svg” of \(BIMISVGProfile.svgNamespace)"
        case .baseProfile(let value): value.map { "baseProfile is “\($0)” and not “tiny-ps”" } ?? "baseProfile=\"tiny-ps\" is missing"
        case .version(let value): value.map { "version is “\($0)” and not “1.2”" } ?? "version=\"1.2\" is missing"
        case .rootPosition(let name): "the root has the attribute “\(name)”"
        case .missingTitle: "there is no title"
        case .emptyTitle: "the title is empty"
        case .titleTooLong(let characters, let limit): "the title has \(characters) characters, more than \(limit)"
        case .titleNotFirst: "the title isn't the first element"
        case .severalTitles: "there is more than one title"
        case .missingViewBox: "there is no viewBox"
        case .invalidViewBox(let value): "the viewBox “\(value)” isn't four numbers with a positive width and height"
        case .notSquare(let width, let height): "the picture isn't a square: \(width) by \(height)"
        case .script(let name): "there is the script element “\(name)”"
        case .styleSheet: "there is a style sheet"
        case .animation(let name): "there is the animation “\(name)”"
        case .multimedia(let name): "there is the multimedia element “\(name)”"
        case .foreignObject: "there is a foreignObject"
        case .link: "there is a link"
        case .element(let name, let parent): "the element “\(name)” can't stand \(parent.map { "in “\($0)”" } ?? "there")"
        case .foreignElement(let name): "the element “\(name)” isn't one of SVG"
        case .eventAttribute(let name): "the attribute “\(name)” runs a script"
        case .styleAttribute: "there is a style attribute"
        case .attribute(let name, let element): "the attribute “\(name)” can't stand in “\(element)”"
        case .attributeValue(let name, let value): "the attribute “\(name)” can't be “\(value)”"
        case .externalReference(let attribute): "“\(attribute)” leads out of the document"
        case .dataReference(let attribute): "“\(attribute)” is a data: URI"
        case .scriptReference(let attribute): "“\(attribute)” runs a script"
        case .text(let element): "text stands in “\(element)”"
        case .repeatedID(let id): "the identifier “\(id)” comes twice"
        case .recursion(let id): "“#\(id)” contains itself"
        case .expansion(let limit): "the uses make more than \(limit) elements"
        case .tooDeep(let limit): "more than \(limit) elements lie in one another"
        case .tooManyElements(let limit): "there are more than \(limit) elements"
        case .tooManyAttributes(let limit): "an element has more than \(limit) attributes"
        }
    }
}

/// What came of an indicator, and why.
public struct BIMIIndicatorReport: Sendable, Hashable {
    /// Everything that is wrong, in the order of the document; at most ``BIMIIndicator/Limits/problems``.
    public internal(set) var problems: [BIMIIndicatorProblem] = []
    /// The octets as they came.
    public internal(set) var octets = 0
    /// Whether they came compressed.
    public internal(set) var isCompressed = false
    /// The SVG, unpacked; empty where it couldn't be or is too large.
    public internal(set) var svg: [UInt8] = []
    /// SHA-256 of ``svg`` in hexadecimal digits.
    public internal(set) var digest = ""
    /// The title.
    public internal(set) var title: String?
    /// The width and the height of the viewBox.
    public internal(set) var size: [Double]?
    /// The number of elements.
    public internal(set) var elements = 0

    /// Whether the indicator may be shown.
    public var isAccepted: Bool { problems.isEmpty && !svg.isEmpty }
}
