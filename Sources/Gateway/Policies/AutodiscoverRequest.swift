import MailAuthentication
import MailMessage

/// What Outlook and its like ask for (MS-OXDSCLI §2.2.3): the settings of an address. Anybody may send it.
struct AutodiscoverRequest {
    /// Octets of the largest request that is read. Real ones have some four hundred.
    static let sizeLimit = 8 * 1024
    /// The answers that we can give.
    static let responseSchema = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"

    let address: EmailAddress

    /// Why a request isn't answered.
    struct Refusal: Error {
        var reason: String
    }

    private static let limits: XMLEventReader.Limits = {
        var limits = XMLEventReader.Limits()
        limits.size = sizeLimit
        limits.depth = 8
        limits.elements = 32
        limits.attributes = 8
        limits.textLength = 1024
        return limits
    }()

    /// Reads a request.
    /// - Throws: ``Refusal``.
    init(parsing octets: [UInt8]) throws(Refusal) {
        var path: [String] = []
        var address: String?
        var schema: String?
        do {
            try XMLEventReader(limits: Self.limits).read(octets) { event in
                switch event {
                case .start(let name, _, _): path.append(name.local)
                case .end: path.removeLast()
                case .text(let text):
                    let text = String(text.trimmingPrefix(while: \.isWhitespace).reversed().trimmingPrefix(while: \.isWhitespace).reversed())
                    if path == ["Autodiscover", "Request", "EMailAddress"], address == nil { address = text }
                    if path == ["Autodiscover", "Request", "AcceptableResponseSchema"], schema == nil { schema = text }
                case .processingInstruction: break
                }
            }
        } catch {
            throw Refusal(reason: "this is no request: \(error)")
        }
        guard schema == nil || schema == Self.responseSchema else { throw Refusal(reason: "only \(Self.responseSchema) is answered") }
        guard let text = address, let parsed = try? EmailAddress(parsing: text) else { throw Refusal(reason: "EMailAddress is missing, or is none") }
        self.address = parsed
    }
}
