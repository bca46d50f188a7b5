internal import SwiftASN1
internal import X509

/// The authorities that are trusted to look at marks before they certify them. These are others than the web's: nobody else's roots may
/// vouch for an indicator (draft-fetch-validation-vmc-wchuang-11 §5.1).
public struct BIMIRoots: Sendable {
    let certificates: [Certificate]

    /// The most roots that are read from one text.
    public static let limit = 100

    /// No authority at all: no evidence is ever valid.
    public init() { certificates = [] }

    /// Reads roots as PEM; text around them is ignored.
    /// - Throws: ``BIMIRootsError``.
    public init(parsingPEM octets: [UInt8]) throws(BIMIRootsError) {
        let documents: [[UInt8]]
        do {
            documents = try BIMIPEM.certificates(octets, limit: Self.limit)
        } catch {
            throw BIMIRootsError(reason: "\(error)")
        }
        var certificates: [Certificate] = []
        for (index, document) in documents.enumerated() {
            do {
                certificates.append(try Certificate(derEncoded: document))
            } catch {
                throw BIMIRootsError(reason: "the certificate \(index + 1) can't be read: \(error)")
            }
        }
        self.certificates = certificates
    }

    /// How many there are.
    public var count: Int { certificates.count }
}

/// Why roots can't be read.
public struct BIMIRootsError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What an operator wants to know.
    public var reason: String
    public var description: String { reason }
}
