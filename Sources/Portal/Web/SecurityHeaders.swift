import FoundationEssentials
import HTTPTypes
import Hummingbird

/// What every answer says to the browser.
enum SecurityHeaders {
    /// For pages: nothing may be loaded or run but our own style sheet; forms go to us; nobody may frame us.
    static let pagePolicy =
        "default-src 'none'; style-src 'self'; img-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    /// For pages with the mark of a sender's domain, which comes from us: as a picture it runs nothing and loads nothing.
    static let markedPagePolicy = pagePolicy.replacing("img-src 'none'", with: "img-src 'self'")
    /// For what came with a message: should a browser show it all the same, it is nobody's.
    static let downloadPolicy = "sandbox; default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

    /// Adds the header fields; a Content-Security-Policy that is there stays.
    static func apply(to response: inout Response) {
        if response.headers[.contentSecurityPolicy] == nil { response.headers[.contentSecurityPolicy] = pagePolicy }
        response.headers[.strictTransportSecurity] = "max-age=63072000; includeSubDomains"
        response.headers[.xContentTypeOptions] = "nosniff"
        response.headers[.cacheControl] = "no-store"
        for (name, value) in others {
            if let name = HTTPField.Name(name) { response.headers[name] = value }
        }
    }

    /// Those that have no name of their own in the library.
    static let others = [
        ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cross-Origin-Embedder-Policy", "require-corp"), ("X-Frame-Options", "DENY"), ("X-Robots-Tag", "noindex, nofollow"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ]
}
