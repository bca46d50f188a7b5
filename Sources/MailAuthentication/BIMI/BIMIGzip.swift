/// Unpacks SVGZ (RFC 1952) up to a limit.
enum BIMIGzip {
    enum Failure: Error, Hashable, Sendable {
        /// More comes out than the limit.
        case tooLarge
        /// It isn't gzip, or a checksum is wrong, or the end is missing.
        case damaged
        /// Something follows the end: another member, which some read and some don't.
        case trailingOctets
    }

    /// RFC 1952 §2.3.1.
    static func isGzip(_ octets: some Collection<UInt8>) -> Bool { octets.starts(with: [0x1F, 0x8B]) }

    /// The octets in a single member.
    static func unpack(_ octets: [UInt8], limit: Int) throws(Failure) -> [UInt8] {
        guard limit >= 0 else { throw .tooLarge }
        var output: [UInt8] = []
        let used: Int
        do throws(Inflater.Failure) {
            used = try Inflater(outputLimit: limit).inflate(octets[...], .gzip, into: &output)
        } catch {
            switch error {
            case .tooLarge, .growsTooMuch: throw .tooLarge
            case .unavailable, .memory, .truncated, .damaged: throw .damaged
            }
        }
        guard used == octets.count else { throw .trailingOctets }
        return output
    }
}
