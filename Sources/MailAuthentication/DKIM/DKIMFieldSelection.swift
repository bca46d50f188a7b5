/// What a list of names selects of a header: evidence, of which texts are made when somebody asks.
struct DKIMFieldSelection: Sendable {
    /// A group of the header's fields, or a name that no field has.
    struct Part: Sendable {
        /// The number of the name among those that differ, in the order of the list; -1 where the list doesn't have it.
        var order: Int32 = -1
        /// Where the name is among the octets of ``DKIMFieldSelection/names``.
        var nameStart: UInt32 = 0
        var nameEnd: UInt32 = 0
        /// How many fields are signed.
        var signedCount: Int32 = 0
        /// How many aren't; the signature itself is neither, once all are selected.
        var unsignedCount: Int32 = 0
        /// The lowest field that isn't taken; -1 where there is none.
        var next: Int32 = -1

        var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }
    }

    let names: DKIMFieldNames
    /// One for each group of the header, and the names that no field has behind them.
    var parts: [Part]

    /// The names, each once, in the order of the list.
    var fields: [DKIMSignedField] {
        parts.filter { $0.order >= 0 }.sorted { $0.order < $1.order }.map { part in
            DKIMSignedField(name: names.text(part.name), signedCount: Int(part.signedCount), unsignedCount: Int(part.unsignedCount))
        }
    }
}
