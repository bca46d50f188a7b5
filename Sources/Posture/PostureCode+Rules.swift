extension PostureCode {
    /// What it is about: the word before the point.
    public var topic: PostureTopic { PostureTopic(rawValue: String(rawValue.prefix { $0 != "." })) ?? .domain }
    /// How much it matters.
    public var severity: PostureSeverity { rule.severity }
    /// The section that has the rule.
    public var reference: String { rule.reference }
    /// The rule in a few words.
    public var title: String { rule.title }
    /// What to do; empty where there is nothing to do.
    public var advice: String { rule.advice }

    private struct Rule {
        var severity: PostureSeverity
        var reference: String
        var title: String
        var advice: String

        init(_ severity: PostureSeverity, _ reference: String, _ title: String, _ advice: String = "") {
            self.severity = severity
            self.reference = reference
            self.title = title
            self.advice = advice
        }
    }

    private var rule: Rule {
        switch self {
        case .domainMissing: .init(.error, "RFC 8020 §2", "the domain doesn't exist", "Register the domain, or correct its spelling.")
        case .domainUnused: .init(.good, "RFC 7505 §3", "the domain takes no mail and sends none, and says so")
        case .domainUnknown:
            .init(
                .unknown, "RFC 5321 §5.1", "the DNS doesn't answer",
                "Try again; if it stays, the domain's name servers are out of order."
            )
        case .mxGood: .init(.good, "RFC 5321 §5.1", "a mail server with addresses")
        case .mxNull: .init(.good, "RFC 7505 §3", "the domain takes no mail (null MX)")
        case .mxRedundant: .init(.good, "RFC 5321 §5.1", "several mail servers in different networks")
        case .mxNullBesideOthers: .init(.error, "RFC 7505 §3", "a null MX beside other MX records", "Remove the record “0 .”, or all the others.")
        case .mxNullPreference: .init(.warning, "RFC 7505 §3", "a null MX with another preference than 0", "Publish “MX 0 .”.")
        case .mxNone:
            .init(
                .warning, "RFC 7505 §3", "no MX record and no address",
                "Publish “MX 0 .”, so that senders know at once that no mail is taken."
            )
        case .mxImplicit:
            .init(
                .warning, "RFC 5321 §5.1", "no MX record: mail goes to the domain's own address",
                "Publish an MX record; if the domain takes no mail, publish “MX 0 .”."
            )
        case .mxAlias: .init(.error, "RFC 2181 §10.3", "the MX record names an alias (CNAME)", "Name the host that the alias leads to.")
        case .mxLiteral:
            .init(
                .error, "RFC 5321 §5.1", "the MX record names an address instead of a host",
                "Give the address a name, and put that name into the MX record."
            )
        case .mxNoAddress:
            .init(
                .error, "RFC 5321 §5.1", "a mail server without an address",
                "Publish A and AAAA records for it, or take it out of the MX records."
            )
        case .mxPrivateAddress:
            .init(
                .error, "RFC 6890 §2.2", "a mail server with an address that the internet can't reach",
                "Publish public addresses only."
            )
        case .mxSingle: .init(.info, "RFC 5321 §5.1", "only one mail server", "A second one in another network takes mail while the first is away.")
        case .mxSameNetwork: .init(.info, "RFC 5321 §5.1", "all mail servers are in one network", "Put one of them into another network.")
        case .mxNoIPv6: .init(.info, "RFC 6540 §2", "no mail server has an IPv6 address", "Publish AAAA records when the servers are ready for them.")
        case .mxMany: .init(.info, "RFC 5321 §5.1", "more mail servers than were looked at", "Look at the others by hand.")
        case .mxUnknown:
            .init(
                .unknown, "RFC 5321 §5.1", "the DNS doesn't answer for a mail server",
                "Try again; if it stays, the name servers are out of order."
            )
        case .reverseGood: .init(.good, "RFC 8601 §3", "the address has a name that leads back to it")
        case .reverseMissing:
            .init(
                .warning, "RFC 1912 §2.1", "the address has no name",
                "Have whoever gave you the address publish a PTR record with the server's name. Many receivers refuse mail from such addresses."
            )
        case .reverseMismatch:
            .init(
                .warning, "RFC 8601 §3", "the name of the address leads elsewhere",
                "Make the PTR record's name and its A or AAAA record agree."
            )
        case .reverseUnknown: .init(.unknown, "RFC 8601 §3", "the DNS doesn't answer for the address's name", "Try again.")
        case .smtpGood: .init(.good, "RFC 5321 §4.2", "the server answers, under the name of its address")
        case .smtpRefused:
            .init(
                .error, "RFC 5321 §3.1", "the server refuses to speak",
                "See why it refuses; senders keep the mail for days and return it then."
            )
        case .smtpUnreachable:
            .init(
                .unknown, "RFC 5321 §4.5.4.1", "the server can't be reached from here",
                "Check it from another network: many networks let nobody out to port 25."
            )
        case .smtpName:
            .init(
                .warning, "RFC 5321 §4.1.4", "the server greets under another name than its address has",
                "Make the greeting's name, the PTR record and the A or AAAA record agree."
            )
        case .smtpBanner:
            .init(
                .warning, "RFC 5321 §7.5", "the greeting tells which software it is",
                "Shorten the greeting to the host's name and “ESMTP”."
            )
        case .smtpUnchecked:
            .init(
                .unknown, "RFC 5321 §3.1", "the mail servers were not spoken to",
                "Run the check without --zone and --no-probes, where port 25 is open."
            )
        case .tlsGood: .init(.good, "RFC 3207 §4", "the server encrypts")
        case .tlsNotOffered: .init(.error, "RFC 3207 §4", "the server offers no encryption", "Switch STARTTLS on.")
        case .tlsFailed:
            .init(
                .error, "RFC 3207 §4.1", "the encryption fails",
                "Check the server's certificate and TLS settings; senders that insist on encryption can't deliver."
            )
        case .tlsOld: .init(.error, "RFC 8996 §2", "only an outdated TLS version", "Switch TLS 1.2 and 1.3 on, and older versions off.")
        case .tlsVersion12: .init(.info, "RFC 9325 §3.1.1", "no TLS 1.3", "Switch TLS 1.3 on.")
        case .tlsOldRefused: .init(.good, "RFC 9325 §3.1.1", "outdated TLS versions are refused")
        case .tlsOldAccepted:
            .init(
                .warning, "RFC 9325 §3.1.1", "outdated TLS versions are accepted (RFC 8996 forbids them)",
                "Switch TLS 1.0 and 1.1 off; every mail server and client of the last ten years knows TLS 1.2."
            )
        case .certificateGood: .init(.good, "RFC 9525 §6", "a valid certificate with the server's name")
        case .certificateDane: .init(.info, "RFC 7672 §3.1.1", "no public authority knows the certificate; DANE vouches for it")
        case .certificateUntrusted:
            .init(
                .warning, "RFC 5280 §6", "no public authority vouches for the certificate",
                "Have a certificate from a public authority, or publish TLSA records for this one."
            )
        case .certificateName:
            .init(
                .warning, "RFC 9525 §6", "the certificate is for another name",
                "Have a certificate with the name of the MX record."
            )
        case .certificateExpired: .init(.error, "RFC 5280 §4.1.2.5", "the certificate is past its time, or not valid yet", "Renew it.")
        case .certificateExpiring:
            .init(
                .warning, "RFC 5280 §4.1.2.5", "the certificate ends soon",
                "Renew it, and see why that didn't happen by itself."
            )
        case .certificateWeak:
            .init(
                .warning, "RFC 9325 §4.5", "the certificate's key or signature is too weak",
                "Have one with an ECDSA P-256 key, or RSA with 2048 bits and more, signed with SHA-256."
            )
        case .certificateInvalid:
            .init(
                .warning, "RFC 5280 §6", "the chain of certificates breaks a rule",
                "Have the certificate issued again, and send it with all that stand above it."
            )
        case .relayGood: .init(.good, "RFC 5321 §7.1", "the server passes nothing on for strangers")
        case .relayOpen:
            .init(
                .error, "RFC 5321 §7.1", "the server passes mail on for strangers",
                "Refuse recipients of other domains for everybody who didn't log in, at once: such servers are found and abused within hours."
            )
        case .relayUnclear:
            .init(
                .unknown, "RFC 5321 §7.1", "whether the server passes mail on for strangers didn't become clear",
                "Try again later, or from an address that the server doesn't delay."
            )
        case .dnssecGood: .init(.good, "RFC 4033 §5", "the domain is signed")
        case .dnssecInsecure:
            .init(
                .warning, "RFC 4033 §5", "the domain isn't signed",
                "Sign the zone, and have the registrar publish its DS record: without it an attacker can redirect mail, and DANE is impossible."
            )
        case .dnssecHost:
            .init(
                .warning, "RFC 7672 §2.2.2", "a mail server's name isn't in a signed zone",
                "Sign that zone too, or give the server a name in the signed one."
            )
        case .dnssecBogus:
            .init(
                .error, "RFC 4035 §5.5", "the signatures are wrong",
                "Repair the zone's signatures or its DS record now: whoever checks them sees none of the domain."
            )
        case .daneGood: .init(.good, "RFC 7672 §3.1", "TLSA records that senders can use")
        case .daneMatches: .init(.good, "RFC 7672 §3.1", "the server's certificate is the one that TLSA records name")
        case .daneMissing:
            .init(
                .warning, "RFC 7672 §2.2", "no TLSA records although the zone is signed",
                "Publish “TLSA 3 1 1” with the digest of the server's key at _25._tcp of its name."
            )
        case .daneImpossible: .init(.info, "RFC 7672 §2.2", "no DANE: DNSSEC is missing")
        case .daneUnsigned: .init(.warning, "RFC 7672 §2.2", "TLSA records without DNSSEC mean nothing", "Sign the zone, or remove them.")
        case .daneUnusable:
            .init(
                .error, "RFC 7672 §3.1.3", "no TLSA record can be used for mail",
                "Publish usage 3 (or 2) records, such as “3 1 1”."
            )
        case .danePartlyUnusable: .init(.warning, "RFC 7672 §3.1", "some TLSA records can't be used", "Remove or correct them.")
        case .daneForm:
            .init(
                .info, "RFC 7672 §3.1", "TLSA records of an unusual form",
                "“3 1 1”, or “2 1 1” for an authority, is what works everywhere."
            )
        case .daneSpare: .init(.info, "RFC 7671 §8.1", "one TLSA record only", "Publish the next key's record before you change keys.")
        case .daneTimeToLive: .init(.info, "RFC 7671 §13", "TLSA records are kept for long", "An hour or less lets you change keys quickly.")
        case .daneMismatch:
            .init(
                .error, "RFC 7672 §2.2", "the server's certificate isn't the one that TLSA records name",
                "Publish the record of the key in use, or bring the old key back: senders that know DANE deliver nothing."
            )
        case .daneNoTLS:
            .init(
                .error, "RFC 7672 §2.2", "TLSA records, and no encryption",
                "Switch STARTTLS on: senders that know DANE deliver nothing."
            )
        case .daneUnknown:
            .init(
                .unknown, "RFC 7672 §2.1.2", "the DNS doesn't answer for TLSA records",
                "Repair the name servers: senders that know DANE wait for the answer."
            )
        case .mtastsGood: .init(.good, "RFC 8461 §3", "senders are told to insist on encryption")
        case .mtastsMissing: .init(.info, "RFC 8461 §3.1", "no MTA-STS", "Publish a policy for senders that don't know DANE.")
        case .mtastsSeveral: .init(.error, "RFC 8461 §3.1", "more than one MTA-STS record", "Keep one.")
        case .mtastsInvalid: .init(.error, "RFC 8461 §3.1", "the MTA-STS record is wrong", "Correct it: “v=STSv1; id=20261128”.")
        case .mtastsFetch:
            .init(
                .error, "RFC 8461 §3.3", "the policy can't be had",
                "Serve it at https://mta-sts.DOMAIN/.well-known/mta-sts.txt, as text/plain, with a valid certificate and without a redirection."
            )
        case .mtastsTesting: .init(.warning, "RFC 8461 §5", "the policy is in test only", "Set “mode: enforce” once the reports are clean.")
        case .mtastsModeNone: .init(.info, "RFC 8461 §8.3", "the policy is being withdrawn", "Remove the record when the policy's time is over.")
        case .mtastsShortAge: .init(.warning, "RFC 8461 §10.2", "the policy is forgotten soon", "Set “max_age” to a week at least; weeks are better.")
        case .mtastsMismatch:
            .init(
                .error, "RFC 8461 §4.1", "the policy doesn't allow a mail server",
                "Add “mx: HOST” to the policy and change the record's id, or take the server out of the MX records."
            )
        case .mtastsExtra:
            .init(
                .info, "RFC 8461 §4.1", "the policy names a server that isn't in the MX records",
                "Remove it if it isn't to come back."
            )
        case .mtastsNotes: .init(.info, "RFC 8461 §3.2", "the policy has oddities")
        case .mtastsUnchecked: .init(.unknown, "RFC 8461 §3.3", "the policy wasn't fetched", "Run the check without --zone and --no-probes.")
        case .mtastsUnknown: .init(.unknown, "RFC 8461 §3.1", "the DNS doesn't answer for the MTA-STS record", "Try again.")
        case .tlsrptGood: .init(.good, "RFC 8460 §3", "senders report failures of encryption")
        case .tlsrptMissing:
            .init(
                .warning, "RFC 8460 §3", "nobody reports failures of encryption",
                "Publish “v=TLSRPTv1; rua=mailto:…” at _smtp._tls."
            )
        case .tlsrptInvalid: .init(.error, "RFC 8460 §3", "the TLSRPT record is wrong", "Correct it: “v=TLSRPTv1; rua=mailto:…”.")
        case .tlsrptSeveral: .init(.error, "RFC 8460 §3", "more than one TLSRPT record", "Keep one.")
        case .tlsrptNoMail:
            .init(
                .warning, "RFC 8460 §3", "reports are wanted by HTTPS only",
                "Add a “mailto:” address: many senders know that only."
            )
        case .tlsrptUnknown: .init(.unknown, "RFC 8460 §3", "the DNS doesn't answer for the TLSRPT record", "Try again.")
        case .transportGood: .init(.good, "RFC 7672 §1.2", "senders can insist on encryption")
        case .transportUnprotected:
            .init(
                .warning, "RFC 7672 §1.2", "nothing lets senders insist on encryption",
                "Publish DANE or MTA-STS: an attacker on the way can switch encryption off unseen."
            )
        case .spfGood: .init(.good, "RFC 7208 §4.5", "a strict list of senders")
        case .spfMissing: .init(.error, "RFC 7208 §4.5", "no SPF record", "Publish which addresses send, and end with “-all”.")
        case .spfSeveral: .init(.error, "RFC 7208 §4.5", "more than one SPF record", "Join them to one: with two, none counts.")
        case .spfInvalid: .init(.error, "RFC 7208 §4.6", "an SPF record that can't be read", "Correct it.")
        case .spfLookups:
            .init(
                .error, "RFC 7208 §4.6.4", "too many look-ups",
                "Replace “include”, “a” and “mx” by “ip4” and “ip6”, or drop services that no longer send: over 10, receivers take the record as broken."
            )
        case .spfNearLimit:
            .init(
                .info, "RFC 7208 §4.6.4", "almost too many look-ups",
                "Drop what isn't needed before a provider's change breaks the record."
            )
        case .spfVoids:
            .init(
                .error, "RFC 7208 §4.6.4", "too many names without anything",
                "Remove the names that don't exist any more: over 2, receivers take the record as broken."
            )
        case .spfVoid: .init(.warning, "RFC 7208 §4.6.4", "a name in the record has no address", "Remove it.")
        case .spfIncludeMissing:
            .init(
                .error, "RFC 7208 §5.2", "a record that is included doesn't exist",
                "Remove the “include”: receivers take the whole record as broken."
            )
        case .spfPassAll: .init(.error, "RFC 7208 §5.1", "everybody may send in the domain's name", "Replace “+all” by “-all”.")
        case .spfNeutral: .init(.warning, "RFC 7208 §8.2", "the record says nothing about other senders", "End it with “-all” or “~all”.")
        case .spfPtr: .init(.warning, "RFC 7208 §5.5", "the record uses “ptr”", "Replace it by addresses: receivers may ignore it.")
        case .spfBroad: .init(.warning, "RFC 7208 §11", "the record allows very large networks", "Name the networks that really send.")
        case .spfNames:
            .init(
                .info, "RFC 7208 §4.6.4", "the record names hosts and services instead of addresses",
                "“ip4” and “ip6” need no look-up and don't change behind your back."
            )
        case .spfIgnored: .init(.info, "RFC 7208 §5.1", "something stands behind “all” and is never read", "Put it before “all”, or remove it.")
        case .spfOldType: .init(.info, "RFC 7208 §3.1", "a record of the retired type SPF", "Remove it; the TXT record is the one that counts.")
        case .spfNotClosed:
            .init(
                .warning, "RFC 7208 §10.1.2", "a domain without mail that doesn't forbid sending",
                "Publish “v=spf1 -all” and nothing else."
            )
        case .spfUnknown:
            .init(
                .unknown, "RFC 7208 §2.6.6", "the DNS doesn't answer for the SPF record",
                "Try again; receivers defer mail in the meantime."
            )
        case .dkimGood: .init(.good, "RFC 6376 §3.6.1", "a good key")
        case .dkimClosed: .init(.good, "RFC 6376 §3.6.1", "all selectors are revoked")
        case .dkimNone:
            .init(
                .info, "RFC 6376 §3.6.2", "no key found under common selectors",
                "Name your selectors with --selector: they can't be listed from outside."
            )
        case .dkimMissing: .init(.error, "RFC 6376 §3.6.2", "no key under this selector", "Publish it, or sign with another selector.")
        case .dkimSeveral: .init(.error, "RFC 6376 §3.6.2.2", "more than one record under a selector", "Keep one.")
        case .dkimInvalid: .init(.error, "RFC 6376 §3.6.1", "a key that can't be read", "Publish it again, exactly as it was printed.")
        case .dkimSmall:
            .init(
                .error, "RFC 8301 §3.2", "an RSA key of less than 1024 bits",
                "Replace it by one of 2048 bits: signatures by it count as none."
            )
        case .dkimWeak: .init(.warning, "RFC 8301 §3.2", "an RSA key of less than 2048 bits", "Replace it by one of 2048 bits.")
        case .dkimLarge:
            .init(
                .info, "RFC 8301 §3.2", "an RSA key that is larger than all receivers must know",
                "2048 bits are what everybody takes."
            )
        case .dkimSha1: .init(.error, "RFC 8301 §3.1", "the key allows SHA-1 only", "Remove “h=sha1”.")
        case .dkimTesting: .init(.warning, "RFC 6376 §3.6.1", "the key is marked as being in test", "Remove “t=y”.")
        case .dkimService: .init(.warning, "RFC 6376 §3.6.1", "the key isn't for mail", "Remove “s=”, or add “email”.")
        case .dkimRevoked: .init(.info, "RFC 6376 §3.6.1", "a revoked key")
        case .dkimEd25519Only: .init(.warning, "RFC 8463 §5", "Ed25519 keys only", "Sign with an RSA key as well: not all receivers know Ed25519.")
        case .dkimUnknown: .init(.unknown, "RFC 6376 §6.1.2", "the DNS doesn't answer for a key", "Try again.")
        case .dmarcGood: .init(.good, "RFC 9989 §4.7", "receivers are told to act on forgeries")
        case .dmarcMissing:
            .init(
                .error, "RFC 9989 §4.10", "no DMARC record",
                "Publish “v=DMARC1; p=none; rua=mailto:…” at _dmarc first, read the reports, and go on to p=reject."
            )
        case .dmarcSeveral: .init(.error, "RFC 9989 §4.10", "more than one DMARC record", "Keep one: with two, none counts.")
        case .dmarcInvalid: .init(.error, "RFC 9989 §4.7", "a DMARC record that can't be applied", "Correct it.")
        case .dmarcNone:
            .init(
                .warning, "RFC 9989 §4.7", "p=none: receivers do nothing about forgeries",
                "Go on to p=quarantine and p=reject once the reports show that your own mail passes."
            )
        case .dmarcTesting: .init(.warning, "RFC 9989 §4.7", "the policy is in test (t=y)", "Remove “t=y” when the reports are clean.")
        case .dmarcPartial:
            .init(
                .warning, "RFC 9989 §A.6", "“pct” leaves a part of the mail out",
                "Remove “pct”: older receivers let forgeries through, newer ones ignore it."
            )
        case .dmarcSubdomains:
            .init(
                .warning, "RFC 9989 §4.7", "a weaker policy for subdomains",
                "Remove “sp” and “np”, or make them as strict as “p”."
            )
        case .dmarcNoReports:
            .init(
                .warning, "RFC 9989 §4.7", "no reports are asked for",
                "Add “rua=mailto:…” to see who sends in the domain's name."
            )
        case .dmarcReportsRefused:
            .init(
                .error, "RFC 9990 §4", "reports go to somebody who hasn't agreed",
                "Have the record published there, or send reports to an address of your own."
            )
        case .dmarcReportsUnusable:
            .init(
                .warning, "RFC 9989 §4.7", "an address for reports that can't be used",
                "Correct it: “rua=mailto:reports@…”."
            )
        case .dmarcFailureReports:
            .init(
                .info, "RFC 9991 §5", "failure reports are asked for (ruf)",
                "They hold parts of people's mail, and few send them; leave “ruf” out unless you need it."
            )
        case .dmarcObsolete: .init(.info, "RFC 9989 §A.6", "tags that mean nothing any more", "Remove them.")
        case .dmarcOddities: .init(.info, "RFC 9989 §4.8", "parts of the record are ignored", "Correct or remove them.")
        case .dmarcInherited: .init(.info, "RFC 9989 §4.10.1", "the policy comes from a domain above")
        case .dmarcNotClosed:
            .init(
                .warning, "RFC 9989 §4.7", "a domain without mail whose forgeries aren't refused",
                "Publish “v=DMARC1; p=reject; rua=mailto:…”."
            )
        case .dmarcUnknown: .init(.unknown, "RFC 9989 §4.10", "the DNS doesn't answer for the DMARC record", "Try again.")
        case .bimiGood: .init(.good, "draft-brand-indicators-for-message-identification-12 §4.3", "a logo that mail programs can show")
        case .bimiNone: .init(.info, "draft-brand-indicators-for-message-identification-12 §4.3", "no logo")
        case .bimiDeclined: .init(.info, "draft-brand-indicators-for-message-identification-12 §4.3.1", "the domain says that it has no logo")
        case .bimiInvalid: .init(.warning, "draft-brand-indicators-for-message-identification-12 §4.3", "the logo's record is wrong", "Correct it.")
        case .bimiSeveral: .init(.warning, "draft-brand-indicators-for-message-identification-12 §7.2", "more than one logo record", "Keep one.")
        case .bimiPolicy:
            .init(
                .warning, "draft-brand-indicators-for-message-identification-12 §7.1", "DMARC isn't strict enough for a logo",
                "Set p=quarantine or p=reject, without “t=y”, “pct” and “sp=none”."
            )
        case .bimiIndicator:
            .init(
                .warning, "draft-brand-indicators-for-message-identification-12 §7.6", "the logo can't be used",
                "Serve it by HTTPS as SVG Tiny PS."
            )
        case .bimiNoEvidence:
            .init(
                .info, "draft-brand-indicators-for-message-identification-12 §4.3", "a logo without a certificate",
                "Large mailbox providers show logos with a mark certificate only."
            )
        case .bimiUnchecked:
            .init(
                .unknown, "draft-brand-indicators-for-message-identification-12 §7.6", "the logo wasn't fetched",
                "Run the check without --zone and --no-probes."
            )
        case .bimiUnknown:
            .init(
                .unknown, "draft-brand-indicators-for-message-identification-12 §7.2", "the DNS doesn't answer for the logo's record",
                "Try again."
            )
        case .caaGood: .init(.good, "RFC 8659 §4", "it is said who may issue certificates")
        case .caaMissing: .init(.info, "RFC 8659 §4", "every authority may issue certificates", "Publish CAA records that name yours.")
        case .caaUnknownTag:
            .init(
                .warning, "RFC 8659 §4.1", "a critical property that authorities don't know",
                "Remove it: nobody may issue certificates."
            )
        case .caaInvalid: .init(.warning, "RFC 8659 §4.1", "a CAA record that can't be read", "Correct it: until then nobody may issue certificates.")
        case .caaNoAccount:
            .init(
                .info, "RFC 8657 §3", "everybody at the authority may ask for certificates",
                "Bind the record to your account: “issue \"authority; accounturi=…\"”."
            )
        case .caaUnknown:
            .init(
                .unknown, "RFC 8659 §3", "the DNS doesn't answer for CAA records",
                "Repair the name servers: authorities issue nothing until they answer."
            )
        case .clientsGood: .init(.good, "RFC 8314 §5.1", "mail programs find the servers, encrypted from the start")
        case .clientsMissing:
            .init(
                .info, "RFC 6186 §3", "mail programs have to be set up by hand",
                "Publish _submissions._tcp and _imaps._tcp if people read mail here."
            )
        case .clientsRefused: .init(.info, "RFC 6186 §3.4", "the domain says that it has no such service")
        case .clientsPlain:
            .init(
                .warning, "RFC 8314 §3", "mail programs are led to a service that isn't encrypted from the start",
                "Publish _submissions._tcp and _imaps._tcp, and “SRV 0 0 0 .” for the others."
            )
        case .clientsTarget: .init(.error, "RFC 2782 §1", "a service's host has no address, or is an alias", "Name a host with A or AAAA records.")
        case .clientsUnknown: .init(.unknown, "RFC 6186 §3", "the DNS doesn't answer for the services of mail programs", "Try again.")
        case .clientsSettings: .init(.good, "RFC 8314 §5.1", "mail programs are told their settings, with encryption from the start")
        case .clientsNoSettings:
            .init(
                .info, "RFC 8314 §5.1", "no settings for mail programs by Autoconfig or Autodiscover",
                "Serve them at autoconfig.DOMAIN and autodiscover.DOMAIN: many mail programs don't look at SRV records."
            )
        case .clientsSettingsDiffer:
            .init(
                .warning, "RFC 8314 §5.1", "the settings name other servers than the SRV records", "Have both name the same hosts and ports."
            )
        case .clientsSettingsPlain:
            .init(
                .warning, "RFC 8314 §3", "the settings lead mail programs to a service that isn't encrypted from the start",
                "Name IMAP at port 993 and submission at port 465, and nothing without encryption."
            )
        case .clientsSettingsWrong:
            .init(
                .warning, "RFC 8314 §5.1", "the settings of mail programs can't be had or read",
                "Serve them by HTTPS with a certificate for their host, or remove the host's record."
            )
        case .clientsSettingsUnchecked:
            .init(.unknown, "RFC 8314 §5.1", "the settings of mail programs weren't fetched", "Run the check without --zone and --no-probes.")
        }
    }
}
