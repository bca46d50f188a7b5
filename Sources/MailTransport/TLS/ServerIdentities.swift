import FoundationEssentials
import NIOSSL
import SwiftASN1
import X509

/// A certificate with its key, as a listener shows it.
struct ServerIdentity: Sendable {
    /// Leaf first.
    let chain: [NIOSSLCertificate]
    let key: NIOSSLPrivateKey
    /// The DNS names of the leaf, in lower case.
    let names: [String]
    let endPointBinding: [UInt8]
    let expiry: Date?

    /// Reads the files.
    /// - Throws: ``TLSFailure`` that names the file.
    init(_ files: TLSServerContext.Files) throws {
        chain = try TLSPolicy.chain(files.certificate)
        key = try TLSPolicy.key(files.key)
        guard let leaf = try chain.first?.toDERBytes() else {
            throw TLSFailure(code: .unusableFile, description: "\(files.certificate) is empty")
        }
        names = try LinkCertificate(derBytes: leaf).hostNames
        endPointBinding = try TLSServerContext.endPointBinding(derBytes: leaf)
        expiry = (try? Certificate(derEncoded: leaf))?.notValidAfter
    }
}

/// The certificates of a listener, by the names that clients ask for.
struct ServerIdentities: Sendable {
    let first: ServerIdentity
    private let byName: [String: ServerIdentity]
    /// By what stands behind `*.`.
    private let byParent: [String: ServerIdentity]

    /// In their order.
    let all: [ServerIdentity]

    /// Of several that have a name the earlier is used.
    init(first: ServerIdentity, further: [ServerIdentity]) {
        self.first = first
        all = [first] + further
        var byName: [String: ServerIdentity] = [:]
        var byParent: [String: ServerIdentity] = [:]
        for identity in all {
            for name in identity.names {
                if name.hasPrefix("*.") {
                    let parent = String(name.dropFirst(2))
                    byParent[parent] = byParent[parent] ?? identity
                } else {
                    byName[name] = byName[name] ?? identity
                }
            }
        }
        self.byName = byName
        self.byParent = byParent
    }

    /// The one for a name that a client asks for; the first where there is none.
    subscript(serverName: String?) -> ServerIdentity {
        guard let name = serverName?.lowercased(), !byName.isEmpty || !byParent.isEmpty else { return first }
        if let exact = byName[name] { return exact }
        guard let dot = name.firstIndex(of: ".") else { return first }
        return byParent[String(name[name.index(after: dot)...])] ?? first
    }
}
