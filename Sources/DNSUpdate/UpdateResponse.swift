public import FoundationEssentials

/// A server's answer to an update.
public struct UpdateResponse: Hashable, Sendable {
    /// What the server says.
    public let code: UpdateResponseCode
    /// What it says of the request's signature; `nil` without TSIG in the answer.
    public let signatureError: UpdateResponseCode?
    /// Whether the answer's own signature was there and holds. Answers that refuse the key or the signature have none (RFC 8945 §5.2).
    public let isAuthenticated: Bool
    /// Whether the answer was cut to fit a datagram: then TCP is used.
    public let isTruncated: Bool
    /// The server's clock, in seconds since 1970, where it says that the clocks differ (RFC 8945 §5.2.3).
    public let serverTime: UInt64?

    /// Whether everything was done.
    public var isSuccess: Bool { code == .noError && signatureError ?? .noError == .noError }

    /// For an operator.
    public var reason: String {
        guard let signatureError, signatureError != .noError else { return "\(code)" }
        switch signatureError {
        case .badKey: return "\(code), BADKEY: the server doesn't know the key, or not with this algorithm"
        case .badSignature: return "\(code), BADSIG: the server has another secret under the key's name"
        case .badTime:
            return "\(code), BADTIME: the clocks differ by more than \(SignedUpdate.fudgeSeconds) seconds"
                + (serverTime.map { "; the server's says \($0)" } ?? "")
        default: return "\(code), \(signatureError)"
        }
    }
}

extension SignedUpdate {
    /// Reads what a server answered. Whoever sends forged answers can be anybody: what throws is dropped, and the true answer waited for.
    ///
    /// Deliberate: an answer that refuses the key or the signature is unsigned by its nature (RFC 8945 §5.2.1 and §5.2.2) and is
    /// handed on with `isAuthenticated` false. It says that nothing was done, and a forged one can say nothing else.
    /// - Parameter time: Now; the answer's signature must be of about this time.
    /// - Throws: ``DNSUpdateError`` for what isn't a message, isn't the answer, or isn't signed as it must be.
    public func response(_ octets: [UInt8], at time: Date) throws(DNSUpdateError) -> UpdateResponse {
        guard octets.count <= limits.messageSizeLimit else { throw DNSUpdateError(.limitExceeded, "an answer of \(octets.count) octets") }
        var reader = MessageReader(octets)
        let identifier = try reader.number16("the header")
        let flags = try reader.number16("the header")
        var counts: [Int] = []
        for _ in 0..<4 { counts.append(Int(try reader.number16("the header"))) }
        guard identifier == self.identifier else { throw DNSUpdateError(.otherMessage, "an answer to another request: its number is \(identifier)") }
        guard flags & 0x8000 != 0, flags >> 11 & 0xF == 5 else {
            throw DNSUpdateError(.otherMessage, "a message that is no answer to an update (RFC 2136 §2.2)")
        }
        guard counts[0] <= 1, counts.reduce(0, +) <= limits.answerRecordLimit else {
            throw DNSUpdateError(.limitExceeded, "an answer with \(counts.reduce(0, +)) records")
        }
        if counts[0] == 1 {
            let name = try reader.name("the zone section")
            let type = try reader.number16("the zone section")
            _ = try reader.number16("the zone section")
            guard name == zone.wireLabels, type == 6 else { throw DNSUpdateError(.otherMessage, "an answer about another zone") }
        }
        let (signature, signedEnd) = try trailingSignature(&reader, recordCount: counts[1] + counts[2] + counts[3], additionalCount: counts[3])
        guard reader.isAtEnd else { throw DNSUpdateError(.malformed, "\(octets.count - reader.offset) octets behind the message's last record") }
        let isAuthenticated = try verify(signature, octets[..<signedEnd], additionalCount: counts[3], at: time)
        return UpdateResponse(
            code: UpdateResponseCode(rawValue: flags & 0xF), signatureError: signature?.error, isAuthenticated: isAuthenticated,
            isTruncated: flags & 0x0200 != 0, serverTime: signature.flatMap(Self.serverTime))
    }

    private static func serverTime(_ signature: TransactionSignature) -> UInt64? {
        guard signature.error == .badTime, signature.other.count == 6 else { return nil }
        return signature.other.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Passes over the records. TSIG is the last one of the additional section, and once (RFC 8945 §5.1).
    private func trailingSignature(
        _ reader: inout MessageReader, recordCount: Int, additionalCount: Int
    ) throws(DNSUpdateError) -> (TransactionSignature?, Int) {
        for index in 0..<recordCount {
            let start = reader.offset
            let name = try reader.name("a record's name")
            let type = try reader.number16("a record")
            let recordClass = try reader.number16("a record")
            let timeToLive = try reader.number32("a record")
            let length = Int(try reader.number16("a record"))
            guard type == TransactionSignature.type else {
                _ = try reader.take(length, "a record's data")
                continue
            }
            guard index == recordCount - 1, additionalCount > 0 else {
                throw DNSUpdateError(.malformed, "a TSIG record that isn't the message's last (RFC 8945 §5.1)")
            }
            guard recordClass == RecordClass.any, timeToLive == 0 else {
                throw DNSUpdateError(.malformed, "a TSIG record with a class or lifetime that it can't have (RFC 8945 §4.2)")
            }
            let end = reader.offset + length
            return (try TransactionSignature(keyLabels: name, reader: &reader, end: end), start)
        }
        return (nil, reader.offset)
    }

    /// Whether the answer is signed and its signature holds (RFC 8945 §5.3).
    private func verify(
        _ signature: TransactionSignature?, _ message: ArraySlice<UInt8>, additionalCount: Int, at time: Date
    ) throws(DNSUpdateError) -> Bool {
        guard let key else { return false }
        guard let signature else { throw DNSUpdateError(.unsigned, "the answer to a signed request has no signature (RFC 8945 §5.3)") }
        // RFC 8945 §5.2.1 and §5.2.2: such an answer is unsigned, and has the key's name and algorithm as the request had them, or as the server has them.
        if signature.code.isEmpty, signature.error == .badKey || signature.error == .badSignature { return false }
        guard signature.keyLabels == key.name.wireLabels, signature.algorithmLabels == key.algorithm.labels else {
            throw DNSUpdateError(.otherKey, "the answer is signed with another key than \(key) (RFC 8945 §5.3)")
        }
        // Deliberate: shorter codes (RFC 8945 §5.2.2.1) aren't taken, since nobody here asks for them.
        guard signature.code.count == key.algorithm.macSize else {
            throw DNSUpdateError(.invalidSignature, "the answer's signature has \(signature.code.count) octets instead of \(key.algorithm.macSize)")
        }
        // RFC 8945 §4.3.2: the message as it was before the TSIG record was added, with the original number.
        var signed = Array(message)
        signed[0] = UInt8(signature.originalIdentifier >> 8)
        signed[1] = UInt8(truncatingIfNeeded: signature.originalIdentifier)
        signed[10] = UInt8((additionalCount - 1) >> 8)
        signed[11] = UInt8(truncatingIfNeeded: additionalCount - 1)
        let prefix = [UInt8(code.count >> 8), UInt8(truncatingIfNeeded: code.count)] + code
        guard key.isValid(signature.code, for: prefix + signed + signature.signedOctets) else {
            throw DNSUpdateError(.invalidSignature, "the answer's signature by \(key) doesn't hold (RFC 8945 §5.3)")
        }
        // RFC 8945 §5.2.3: with BADTIME the record has the time of the request, and the server's own beside it.
        let now = Self.seconds(time)
        let distance = now > signature.time ? now - signature.time : signature.time - now
        guard signature.error == .badTime || distance <= UInt64(signature.fudge) else {
            throw DNSUpdateError(.invalidTime, "the answer was signed \(distance) seconds from now; \(signature.fudge) are allowed (RFC 8945 §5.2.3)")
        }
        return true
    }
}
