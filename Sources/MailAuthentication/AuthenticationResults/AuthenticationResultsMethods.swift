extension AuthenticationResults.MethodResult {
    /// The result of SPF (RFC 8601 §2.7.2).
    /// - Parameters:
    ///   - result: `pass`, `fail`, `softfail`, `neutral`, `none`, `temperror`, `permerror` or `policy`.
    ///   - mailFrom: the reverse-path or its domain, where it was checked.
    ///   - helo: the domain of HELO, where it was checked.
    ///   - reason: why.
    ///   - comment: for people.
    public static func spf(_ result: String, mailFrom: String? = nil, helo: String? = nil, reason: String? = nil, comment: String? = nil) -> Self {
        var made = make("spf", result, reason: reason, comment: comment, propertyCount: 2)
        made.add("smtp", "mailfrom", mailFrom)
        made.add("smtp", "helo", helo)
        return made
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
        var made = make("dkim", result, reason: reason, comment: comment, propertyCount: 5)
        made.add("header", "d", domain)
        made.add("header", "i", identity)
        made.add("header", "s", selector)
        made.add("header", "a", algorithm)
        made.add("header", "b", signature)
        return made
    }

    /// The fewest characters that tell a signature from others (RFC 6008 §4).
    static let signaturePrefixLength = 8

    /// The first characters of a signature, at least 8, that no other signature of the message begins with (RFC 6008 §4).
    public static func signaturePrefix(_ signature: String, among all: [String]) -> String {
        var length = signaturePrefixLength
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
        var made = make("dmarc", result, reason: reason, comment: comment, propertyCount: 4)
        made.add("header", "from", headerFrom)
        made.add("policy", "dmarc", appliedPolicy)
        made.add("polrec", "p", recordPolicy)
        made.add("polrec", "domain", recordDomain)
        return made
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
        var made = make("arc", result, reason: reason, comment: comment, propertyCount: 2)
        made.add("header", "oldest-pass", oldestPass?.description)
        made.add("smtp", "remote-ip", remoteIP)
        return made
    }

    /// Whether a client's name leads back to its address (RFC 8601 §3).
    /// - Parameters:
    ///   - result: `pass`, `fail`, `temperror` or `permerror`.
    ///   - address: the address of the client.
    ///   - comment: for people, such as the name.
    public static func iprev(_ result: String, address: String? = nil, comment: String? = nil) -> Self {
        var made = make("iprev", result, reason: nil, comment: comment, propertyCount: 1)
        made.add("policy", "iprev", address)
        return made
    }

    /// Whether the client has logged in (RFC 8601 §2.7.4).
    /// - Parameters:
    ///   - result: `pass`, `fail`, `none`, `temperror` or `permerror`.
    ///   - user: the name with which it did.
    ///   - comment: for people, such as the mechanism.
    public static func auth(_ result: String, user: String? = nil, comment: String? = nil) -> Self {
        var made = make("auth", result, reason: nil, comment: comment, propertyCount: 1)
        made.add("smtp", "auth", user)
        return made
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
        var made = make("bimi", result, reason: reason, comment: comment, propertyCount: 5)
        made.add("header", "d", domain)
        made.add("header", "selector", selector)
        made.add("policy", "authority", authority)
        made.add("policy", "authority-uri", authorityURI)
        made.add("policy", "indicator-hash", indicatorHash)
        return made
    }

    /// A result that has no properties yet, and room for some.
    private static func make(_ method: String, _ result: String, reason: String?, comment: String?, propertyCount: Int) -> Self {
        var made = Self(method: method, result: result, reason: reason)
        if let comment { made.comments = [comment] }
        made.properties.reserveCapacity(propertyCount)
        return made
    }

    private mutating func add(_ type: String, _ name: String, _ value: String?) {
        if let value { properties.append(AuthenticationResults.Property(type, name, value)) }
    }
}
