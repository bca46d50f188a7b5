extension AuthenticationResults.MethodResult {
    /// The result of SPF (RFC 8601 §2.7.2).
    /// - Parameters:
    ///   - result: `pass`, `fail`, `softfail`, `neutral`, `none`, `temperror`, `permerror` or `policy`.
    ///   - mailFrom: the reverse-path or its domain, where it was checked.
    ///   - helo: the domain of HELO, where it was checked.
    ///   - reason: why.
    ///   - comment: for people.
    public static func spf(_ result: String, mailFrom: String? = nil, helo: String? = nil, reason: String? = nil, comment: String? = nil) -> Self {
        make("spf", result, [("smtp", "mailfrom", mailFrom), ("smtp", "helo", helo)], reason: reason, comment: comment)
    }

    /// The result of one DKIM signature (RFC 8601 §2.7.1).
    /// - Parameters:
    ///   - result: `pass`, `fail`, `none`, `policy`, `neutral`, `temperror` or `permerror`.
    ///   - domain: the signing domain (`d=`).
    ///   - identity: the agent or user (`i=`).
    ///   - selector: the selector (`s=`).
    ///   - algorithm: the algorithm (`a=`).
    ///   - signature: the beginning of the signature (`b=`) that tells it from others: see ``signaturePrefix(_:among:)``.
    ///   - reason: why.
    ///   - comment: for people.
    public static func dkim(
        _ result: String, domain: String? = nil, identity: String? = nil, selector: String? = nil, algorithm: String? = nil,
        signature: String? = nil, reason: String? = nil, comment: String? = nil
    ) -> Self {
        let properties = [
            ("header", "d", domain), ("header", "i", identity), ("header", "s", selector), ("header", "a", algorithm), ("header", "b", signature),
        ]
        return make("dkim", result, properties, reason: reason, comment: comment)
    }

    /// The first characters of a signature, at least 8, that no other signature of the message begins with (RFC 6008 §4).
    public static func signaturePrefix(_ signature: String, among all: [String]) -> String {
        var length = 8
        let others = all.filter { $0 != signature }
        // Mostly it is the only one.
        if others.isEmpty { return String(decoding: signature.utf8.lazy.filter { !TagList.isSpace($0) }.prefix(length), as: UTF8.self) }
        let own = compact(signature)
        for other in others.map(compact) where other != own {
            var common = 0
            while common < min(own.count, other.count), own[common] == other[common] { common += 1 }
            length = max(length, common + 1)
        }
        return String(decoding: own.prefix(length), as: UTF8.self)
    }

    private static func compact(_ signature: String) -> [UInt8] { signature.utf8.filter { !TagList.isSpace($0) } }

    /// The result of DMARC (RFC 9989 §9.1).
    /// - Parameters:
    ///   - result: `none`, `pass`, `fail`, `temperror` or `permerror`.
    ///   - headerFrom: the author's domain.
    ///   - appliedPolicy: what is applied after all options: `none`, `quarantine` or `reject` (`policy.dmarc`).
    ///   - recordPolicy: what the record asks for (`polrec.p`).
    ///   - recordDomain: the domain of the record (`polrec.domain`).
    ///   - reason: why.
    ///   - comment: for people.
    public static func dmarc(
        _ result: String, headerFrom: String? = nil, appliedPolicy: String? = nil, recordPolicy: String? = nil, recordDomain: String? = nil,
        reason: String? = nil, comment: String? = nil
    ) -> Self {
        let properties = [
            ("header", "from", headerFrom), ("policy", "dmarc", appliedPolicy), ("polrec", "p", recordPolicy), ("polrec", "domain", recordDomain),
        ]
        return make("dmarc", result, properties, reason: reason, comment: comment)
    }

    /// The state of a chain of ARC sets (RFC 8617 §6).
    /// - Parameters:
    ///   - result: `none`, `pass` or `fail`.
    ///   - oldestPass: the oldest instance whose message signature still verifies, 0 for all of them.
    ///   - remoteIP: the address of the client.
    ///   - reason: why.
    ///   - comment: for people.
    public static func arc(
        _ result: String, oldestPass: Int? = nil, remoteIP: String? = nil, reason: String? = nil, comment: String? = nil
    ) -> Self {
        let properties = [("header", "oldest-pass", oldestPass.map { "\($0)" }), ("smtp", "remote-ip", remoteIP)]
        return make("arc", result, properties, reason: reason, comment: comment)
    }

    /// Whether a client's name leads back to its address (RFC 8601 §3).
    /// - Parameters:
    ///   - result: `pass`, `fail`, `temperror` or `permerror`.
    ///   - address: the address of the client.
    ///   - comment: for people, such as the name.
    public static func iprev(_ result: String, address: String? = nil, comment: String? = nil) -> Self {
        make("iprev", result, [("policy", "iprev", address)], reason: nil, comment: comment)
    }

    /// Whether the client has logged in (RFC 8601 §2.7.4).
    /// - Parameters:
    ///   - result: `pass`, `fail`, `none`, `temperror` or `permerror`.
    ///   - user: the name with which it did.
    ///   - comment: for people, such as the mechanism.
    public static func auth(_ result: String, user: String? = nil, comment: String? = nil) -> Self {
        make("auth", result, [("smtp", "auth", user)], reason: nil, comment: comment)
    }

    /// The result of BIMI (draft-brand-indicators-for-message-identification §7.7).
    /// - Parameters:
    ///   - result: `pass`, `none`, `fail`, `temperror`, `declined` or `skipped`.
    ///   - domain: the domain of the record.
    ///   - selector: the selector.
    ///   - authority: whether the mark certificate was verified: `pass`, `fail` or `none`.
    ///   - authorityURI: where the certificate is.
    ///   - indicatorHash: the end of the indicator's SHA-256, where the message has a field BIMI-Indicator.
    ///   - reason: why.
    ///   - comment: for people.
    public static func bimi(
        _ result: String, domain: String? = nil, selector: String? = nil, authority: String? = nil, authorityURI: String? = nil,
        indicatorHash: String? = nil, reason: String? = nil, comment: String? = nil
    ) -> Self {
        let properties = [
            ("header", "d", domain), ("header", "selector", selector), ("policy", "authority", authority),
            ("policy", "authority-uri", authorityURI), ("policy", "indicator-hash", indicatorHash),
        ]
        return make("bimi", result, properties, reason: reason, comment: comment)
    }

    private static func make(
        _ method: String, _ result: String, _ properties: [(type: String, name: String, value: String?)], reason: String?, comment: String?
    ) -> Self {
        let properties = properties.compactMap { property in
            property.value.map { AuthenticationResults.Property(property.type, property.name, $0) }
        }
        return Self(method: method, result: result, reason: reason, properties: properties, comments: comment.map { [$0] } ?? [])
    }
}
