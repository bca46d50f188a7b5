internal import Crypto
internal import FoundationEssentials
internal import SwiftASN1

/// The indicator inside a certificate: the logotype extension with a subject's logo in a `data:` URI (RFC 9399 §4.1, RFC 6170 §5.2).
public struct BIMILogotype: Sendable, Hashable {
    /// How the logo's digest in the certificate was made.
    public enum DigestForm: String, Sendable, Hashable, Codable {
        /// Of the SVG.
        case plain
        /// Of the gzip octets.
        case compressed
    }

    /// A digest that was compared.
    public struct Digest: Sendable, Hashable {
        /// The algorithm: `sha1`, `sha256`, `sha384` or `sha512`.
        public var algorithm: String
        /// What it is the digest of.
        public var form: DigestForm
    }

    /// The octets in the URI as they are, compressed or not.
    public var octets: [UInt8]
    /// The SVG.
    public var svg: [UInt8]
    /// The media type beside the URI.
    public var mediaType: String
    /// The digests that were compared, all equal.
    public var digests: [Digest]

    static let extensionID: ASN1ObjectIdentifier = [1, 3, 6, 1, 5, 5, 7, 1, 12]

    /// Reads the value of the extension.
    /// - Parameter limit: the most octets of SVG.
    /// - Throws: ``BIMILogotypeError``.
    init(extensionValue: ArraySlice<UInt8>, limit: Int) throws(BIMILogotypeError) {
        let image: Image
        do {
            let root = try DER.parse(extensionValue)
            image = try Self.subjectImage(root)
        } catch let error as BIMILogotypeError {
            throw error
        } catch {
            throw .invalidDER("\(error)")
        }
        // RFC 6170 §5.2 and RFC 9399 §4.1: the media types of SVG in certificates.
        let type = image.mediaType.lowercased()
        guard type == "image/svg+xml" || type == "image/svg+xml+gzip" else { throw .otherMediaType(String(image.mediaType.prefix(64))) }
        mediaType = image.mediaType
        octets = try Self.octets(of: image.uri, limit: limit)
        if BIMIGzip.isGzip(octets) {
            do {
                svg = try BIMIGzip.unpack(octets, limit: limit)
            } catch {
                switch error {
                case .tooLarge: throw .tooLarge(limit: limit)
                case .damaged, .trailingOctets: throw .damaged
                }
            }
        } else {
            svg = octets
        }
        digests = []
        for (algorithm, value) in image.hashes {
            guard let name = Self.algorithms[algorithm] else { continue }
            if value == Self.digest(svg, name) {
                digests.append(Digest(algorithm: name, form: .plain))
            } else if value == Self.digest(octets, name) {
                digests.append(Digest(algorithm: name, form: .compressed))
            } else {
                throw .otherDigest(name)
            }
        }
        guard !digests.isEmpty else { throw .noKnownDigest }
    }

    private struct Image {
        var mediaType: String
        var hashes: [(ASN1ObjectIdentifier, [UInt8])]
        var uri: String
    }

    private static let algorithms: [ASN1ObjectIdentifier: String] = [
        // SHA-1 is what most authorities write; the certificate's signature is what vouches for the octets.
        [1, 3, 14, 3, 2, 26]: "sha1", [2, 16, 840, 1, 101, 3, 4, 2, 1]: "sha256", [2, 16, 840, 1, 101, 3, 4, 2, 2]: "sha384",
        [2, 16, 840, 1, 101, 3, 4, 2, 3]: "sha512",
    ]

    private static func digest(_ octets: [UInt8], _ algorithm: String) -> [UInt8] {
        switch algorithm {
        case "sha1": Array(Insecure.SHA1.hash(data: octets))
        case "sha384": Array(SHA384.hash(data: octets))
        case "sha512": Array(SHA512.hash(data: octets))
        default: Array(SHA256.hash(data: octets))
        }
    }

    /// The most images, digests and addresses that are read; one of each is what a mark certificate has.
    private static let partLimit = 8

    private static func context(_ number: UInt) -> ASN1Identifier { ASN1Identifier(tagWithNumber: number, tagClass: .contextSpecific) }

    private static func children(_ node: ASN1Node, _ what: String) throws(BIMILogotypeError) -> [ASN1Node] {
        guard case .constructed(let nodes) = node.content else { throw .invalidDER("\(what) is no sequence") }
        return Array(nodes.prefix(partLimit + 1))
    }

    private static func sequence(_ node: ASN1Node, _ what: String) throws(BIMILogotypeError) -> [ASN1Node] {
        guard node.identifier == .sequence else { throw .invalidDER("\(what) is no sequence") }
        let nodes = try children(node, what)
        guard nodes.count <= partLimit else { throw .invalidDER("\(what) has more than \(partLimit) parts") }
        return nodes
    }

    /// RFC 9399 §4.1: LogotypeExtn.
    private static func subjectImage(_ root: ASN1Node) throws -> Image {
        var logo: ASN1Node?
        for part in try sequence(root, "LogotypeExtn") where part.identifier == context(2) {
            guard logo == nil else { throw BIMILogotypeError.severalLogos }
            logo = part
        }
        guard let logo else { throw BIMILogotypeError.noSubjectLogo }
        let choices = try children(logo, "subjectLogo")
        guard let choice = choices.first, choices.count == 1 else { throw BIMILogotypeError.invalidDER("subjectLogo isn't one LogotypeInfo") }
        guard choice.identifier == context(0) else { throw BIMILogotypeError.indirect }
        let parts = try children(choice, "LogotypeData")
        guard parts.allSatisfy({ $0.identifier == .sequence }) else { throw BIMILogotypeError.audio }
        guard let imageList = parts.first, parts.count == 1 else { throw BIMILogotypeError.noSubjectLogo }
        let images = try sequence(imageList, "image")
        guard let image = images.first else { throw BIMILogotypeError.noSubjectLogo }
        guard images.count == 1 else { throw BIMILogotypeError.severalLogos }
        guard let details = try sequence(image, "LogotypeImage").first else { throw BIMILogotypeError.invalidDER("LogotypeImage is empty") }
        let fields = try sequence(details, "LogotypeDetails")
        guard fields.count == 3 else { throw BIMILogotypeError.invalidDER("LogotypeDetails hasn't three parts") }
        let mediaType = String(try ASN1IA5String(derEncoded: fields[0]))
        let hashes = try sequence(fields[1], "logotypeHash").map { node in
            let pair = try sequence(node, "HashAlgAndValue")
            guard pair.count == 2, let algorithm = try sequence(pair[0], "hashAlg").first else {
                throw BIMILogotypeError.invalidDER("HashAlgAndValue hasn't two parts")
            }
            return (try ASN1ObjectIdentifier(derEncoded: algorithm), Array(try ASN1OctetString(derEncoded: pair[1]).bytes))
        }
        let uris = try sequence(fields[2], "logotypeURI")
        guard let uri = uris.first else { throw BIMILogotypeError.invalidDER("logotypeURI is empty") }
        guard uris.count == 1 else { throw BIMILogotypeError.severalLogos }
        return Image(mediaType: mediaType, hashes: hashes, uri: String(try ASN1IA5String(derEncoded: uri)))
    }

    /// RFC 2397: `data:image/svg+xml;base64,…`.
    private static func octets(of uri: String, limit: Int) throws(BIMILogotypeError) -> [UInt8] {
        let utf8 = uri.utf8
        guard let comma = utf8.firstIndex(of: UInt8(ascii: ",")) else { throw .notEmbedded }
        let head = String(uri[..<comma]).lowercased()
        guard head.hasPrefix("data:") else { throw .notEmbedded }
        let fields = head.dropFirst(5).split(separator: ";", omittingEmptySubsequences: false)
        guard let type = fields.first, type == "image/svg+xml" || type == "image/svg+xml+gzip" else {
            throw .otherMediaType(String((fields.first ?? "").prefix(64)))
        }
        guard fields.count >= 2, fields.last == "base64" else { throw .notBase64 }
        let text = uri[utf8.index(after: comma)...]
        // Base64 has four octets for three, and gzip some more than nothing.
        guard text.utf8.count <= limit * 2 + 1024 else { throw .tooLarge(limit: limit) }
        guard let data = Data(base64Encoded: String(text)) else { throw .notBase64 }
        return Array(data)
    }
}

/// Why a certificate has no logo that can be used.
public enum BIMILogotypeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The extension can't be read.
    case invalidDER(String)
    /// There is no logo of the subject, or one without an image.
    case noSubjectLogo
    /// There is more than one logo, image or address.
    case severalLogos
    /// The logo is somewhere else, and its address is all that there is.
    case indirect
    /// The logo has sounds.
    case audio
    /// It is no SVG.
    case otherMediaType(String)
    /// Its address isn't a `data:` URI.
    case notEmbedded
    /// The `data:` URI isn't Base64.
    case notBase64
    /// It is too large.
    case tooLarge(limit: Int)
    /// The gzip octets are damaged.
    case damaged
    /// The digest in the certificate is another one.
    case otherDigest(String)
    /// No digest is of a known algorithm.
    case noKnownDigest

    public var description: String {
        switch self {
        case .invalidDER(let reason): "the logotype extension can't be read: \(reason) (RFC 9399 §4.1)"
        case .noSubjectLogo: "the logotype extension has no image of the subject (RFC 9399 §4.1)"
        case .severalLogos: "the logotype extension has more than one logo (draft-fetch-validation-vmc-wchuang-11 §4.1)"
        case .indirect: "the logo isn't in the certificate (draft-fetch-validation-vmc-wchuang-11 §4.1)"
        case .audio: "the logotype extension has sounds (draft-fetch-validation-vmc-wchuang-11 §4.2)"
        case .otherMediaType(let type): "the logo is of the type “\(type)” and no SVG (draft-fetch-validation-vmc-wchuang-11 §4.2)"
        case .notEmbedded: "the logo's address is no data: URI (draft-fetch-validation-vmc-wchuang-11 §4.1)"
        case .notBase64: "the logo's data: URI isn't Base64 (draft-fetch-validation-vmc-wchuang-11 §4.2)"
        case .tooLarge(let limit): "the logo has more than \(limit) octets"
        case .damaged: "the logo's compressed octets are damaged (RFC 1952)"
        case .otherDigest(let algorithm): "the logo's \(algorithm) digest is another than the certificate says (RFC 9399 §4.1)"
        case .noKnownDigest: "the certificate has no digest of the logo with a known algorithm (RFC 9399 §4.1)"
        }
    }
}
