import CExpat

/// Encodings that the library doesn't know by itself: Windows-1252, which programs for Windows declare.
enum XMLEncodings {
    /// 0x80 to 0x9F; five octets of them stand for nothing.
    private static let windows1252: [Int32] = [
        0x20AC, -1, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, -1, 0x017D, -1,
        -1, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, -1, 0x017E, 0x0178,
    ]

    /// What the library asks for an encoding by its name: 1 where it is known, and what its octets mean.
    static func fill(_ encoding: UnsafeMutablePointer<XML_Encoding>?, named name: UnsafePointer<XML_Char>?) -> Int32 {
        guard let name = unsafe name, let encoding = unsafe encoding, unsafe String(cString: name).lowercased() == "windows-1252" else { return 0 }
        // The library gives a structure of its own to fill, in which `map` has 256 numbers.
        unsafe withUnsafeMutableBytes(of: &encoding.pointee.map) { map in
            for octet in 0..<256 {
                let scalar = (0x80..<0xA0).contains(octet) ? windows1252[octet - 0x80] : Int32(octet)
                unsafe map.storeBytes(of: scalar, toByteOffset: octet * 4, as: Int32.self)
            }
        }
        unsafe encoding.pointee.data = nil
        unsafe encoding.pointee.convert = nil
        unsafe encoding.pointee.release = nil
        return 1
    }
}
