import Crypto
import GRDB

/// The words by which a journey record is found, as hashes of 64 bits, one behind the other in the record's row.
enum JourneyHashes {
    /// A word's hash: nobody can choose it, so that no sender is found under another's address.
    static func hash(of word: String) -> Int64 {
        var hash = SHA256()
        let isDone: Void? = unsafe word.utf8.withContiguousStorageIfAvailable { octets in
            // Safe: the octets are read while they are borrowed.
            unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(octets))
        }
        if isDone == nil { hash.update(data: Array(word.utf8)) }
        // Safe: the digest's octets are read while they are borrowed. Its own iterator would copy them twice.
        return unsafe hash.finalize().withUnsafeBytes { digest in unsafe digest.prefix(8).reduce(0) { $0 << 8 | Int64($1) } }
    }

    /// Eight octets for each hash.
    static func octets(of hashes: some Collection<Int64>) -> [UInt8] {
        var octets: [UInt8] = []
        octets.reserveCapacity(hashes.count * 8)
        for hash in hashes { append(hash, to: &octets) }
        return octets
    }

    /// Appends a number, the most significant octet first.
    static func append(_ hash: Int64, to octets: inout [UInt8]) {
        for shift in stride(from: 56, through: 0, by: -8) { octets.append(UInt8(truncatingIfNeeded: hash >> Int64(shift))) }
    }

    /// The number that stands at a place. What lies beyond the end counts as zeros.
    static func number(_ octets: Span<UInt8>, at place: Int) -> Int64 {
        guard place >= 0, place + 8 <= octets.count else { return 0 }
        var value: Int64 = 0
        for offset in 0..<8 { value = value << 8 | Int64(octets[place + offset]) }
        return value
    }

    /// Whether a hash is among those of a row.
    static func contains(_ hash: Int64, in octets: Span<UInt8>) -> Bool {
        var place = 0
        while place + 8 <= octets.count {
            if number(octets, at: place) == hash { return true }
            place += 8
        }
        return false
    }
}
