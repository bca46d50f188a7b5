import DNS
import Foundation
import Posture
import Testing

/// The DNS's part of the check: a good domain, and each fault alone.
@Suite("Posture by the DNS")
struct PostureTests {
    /// What nobody looked at without probes.
    private static let unlooked: Set<PostureCode> = [.smtpUnchecked, .mtastsUnchecked, .bimiUnchecked, .clientsSettingsUnchecked]

    @Test func aGoodDomainIsGood() async throws {
        let report = try await SampleZone.good.check()
        #expect(report.problems == Self.unlooked, "\(report.text(isVerbose: true))")
        #expect(report.result == .good)
        #expect(report.findings.contains { $0.code == .mxGood && $0.subject == "mx1.kartapuce.test" })
        #expect(report.findings.contains { $0.code == .dkimGood && $0.subject == "s2._domainkey.kartapuce.test" })
        #expect(Set(report.findings.map(\.code)).isSuperset(of: [.spfGood, .dmarcGood, .daneGood, .transportGood, .caaGood, .clientsGood, .reverseGood]))
    }

    /// One change of the good zone, and the findings that come of it.
    struct Fault: Sendable, CustomTestStringConvertible {
        var name: String
        var changes: [String: String]
        var found: Set<PostureCode>
        /// What isn't told any more.
        var gone: Set<PostureCode> = []
        var selectors: [String] = []
        var testDescription: String { name }

        init(_ name: String, _ changes: [String: String], _ found: Set<PostureCode>, without gone: Set<PostureCode> = [], selectors: [String] = []) {
            self.name = name
            self.changes = changes
            self.found = found
            self.gone = gone
            self.selectors = selectors
        }
    }

    private static func txt(_ name: String, _ text: String) -> String { "\(name)kartapuce.test. TXT \"\(text)\"" }
    private static func spf(_ text: String) -> [String: String] { ["spf": txt("", "v=spf1 \(text)")] }
    private static func dmarc(_ text: String) -> [String: String] { ["dmarc": txt("_dmarc.", "v=DMARC1; \(text)")] }
    private static func dkim(_ text: String) -> [String: String] { ["dkim1": "s1._domainkey.kartapuce.test. TXT \(SampleZone.key(text))"] }
    private static let rua = "rua=mailto:dmarc@kartapuce.test"

    static let faults: [Fault] = [
        // MX
        Fault("one server", ["mx2": ""], [.mxSingle]),
        Fault(
            "an alias",
            [
                "mx2.a": "mx2.kartapuce.test. CNAME mx3.kartapuce.test.", "mx2.aaaa": "", "x": "mx3.kartapuce.test. A 198.51.100.2",
                "t": "_25._tcp.mx3.kartapuce.test. TLSA 3 1 1 \(SampleZone.digest("5"))",
                "t2": "_25._tcp.mx3.kartapuce.test. TLSA 3 1 1 \(SampleZone.digest("6"))",
                "mx2.ptr": "2.100.51.198.in-addr.arpa. PTR mx3.kartapuce.test.",
            ], [.mxAlias]),
        Fault("a server without an address", ["mx2.a": "", "mx2.aaaa": ""], [.mxNoAddress, .mxSameNetwork, .daneUnknown]),
        Fault("a private address", ["x": "mx1.kartapuce.test. A 10.0.0.1", "p": "1.0.0.10.in-addr.arpa. PTR mx1.kartapuce.test."], [.mxPrivateAddress]),
        Fault("an address in MX", ["mx2": "kartapuce.test. MX 20 198.51.100.2."], [.mxLiteral, .mxSameNetwork, .daneUnknown]),
        Fault(
            "one network",
            [
                "mx2.a": "mx2.kartapuce.test. A 203.0.113.2", "mx2.aaaa": "mx2.kartapuce.test. AAAA 2001:db8:1::2",
                "mx2.ptr": "2.113.0.203.in-addr.arpa. PTR mx2.kartapuce.test.",
                "mx2.ptr6": "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx2.kartapuce.test.",
            ], [.mxSameNetwork]),
        Fault("IPv4 only", ["mx1.aaaa": "", "mx2.aaaa": ""], [.mxNoIPv6]),
        Fault("a null MX beside others", ["x": "kartapuce.test. MX 0 ."], [.mxNullBesideOthers]),
        Fault("a name server that doesn't answer for a server", ["x": ";!SERVFAIL mx2.kartapuce.test. AAAA"], [.mxUnknown]),
        // Names of addresses
        Fault("no name", ["mx1.ptr": ""], [.reverseMissing]),
        Fault("another's name", ["mx1.ptr": "1.113.0.203.in-addr.arpa. PTR mx.gmail.test."], [.reverseMismatch]),
        Fault("no answer for a name", ["x": ";!TIMEOUT 1.113.0.203.in-addr.arpa. PTR"], [.reverseUnknown]),
        // DNSSEC and DANE
        Fault("not signed", ["signed": ""], [.dnssecInsecure, .daneUnsigned]),
        Fault("no TLSA", ["mx1.tlsa": "", "mx1.tlsa2": ""], [.daneMissing]),
        Fault(
            "neither DANE nor MTA-STS", ["mx1.tlsa": "", "mx1.tlsa2": "", "sts": ""], [.daneMissing, .mtastsMissing, .transportUnprotected],
            without: [.mtastsUnchecked]),
        Fault("no signature, no TLSA", ["signed": "", "mx1.tlsa": "", "mx1.tlsa2": "", "mx2.tlsa": "", "mx2.tlsa2": ""], [.dnssecInsecure, .daneImpossible]),
        Fault(
            "TLSA of a usage that isn't for mail", ["mx1.tlsa": "_25._tcp.mx1.kartapuce.test. TLSA 1 1 1 \(SampleZone.digest("1"))", "mx1.tlsa2": ""],
            [.daneUnusable]),
        Fault(
            "one TLSA that can't be used",
            [
                "mx1.tlsa": "_25._tcp.mx1.kartapuce.test. TLSA 3 1 1 1111",
                "x": "_25._tcp.mx1.kartapuce.test. TLSA 3 1 1 \(SampleZone.digest("7"))",
            ], [.danePartlyUnusable]),
        Fault(
            "TLSA of an unusual form", ["mx1.tlsa": "_25._tcp.mx1.kartapuce.test. TLSA 3 0 1 \(SampleZone.digest("1"))", "mx1.tlsa2": ""],
            [.daneForm, .daneSpare]),
        Fault("one TLSA", ["mx1.tlsa2": ""], [.daneSpare]),
        Fault("no answer for TLSA", ["x": ";!SERVFAIL _25._tcp.mx1.kartapuce.test. TLSA"], [.daneUnknown]),
        // MTA-STS and reports
        Fault("no MTA-STS", ["sts": ""], [.mtastsMissing], without: [.mtastsUnchecked]),
        Fault("two MTA-STS", ["x": txt("_mta-sts.", "v=STSv1; id=2")], [.mtastsSeveral], without: [.mtastsUnchecked]),
        Fault("broken MTA-STS", ["sts": txt("_mta-sts.", "v=STSv1; id=")], [.mtastsInvalid], without: [.mtastsUnchecked]),
        Fault("no answer for MTA-STS", ["x": ";!TIMEOUT _mta-sts.kartapuce.test. TXT"], [.mtastsUnknown], without: [.mtastsUnchecked]),
        Fault("no TLSRPT", ["tlsrpt": ""], [.tlsrptMissing]),
        Fault("two TLSRPT", ["x": txt("_smtp._tls.", "v=TLSRPTv1; rua=mailto:a@kartapuce.test")], [.tlsrptSeveral]),
        Fault("broken TLSRPT", ["tlsrpt": txt("_smtp._tls.", "v=TLSRPTv1; rua=tls")], [.tlsrptInvalid]),
        Fault("TLSRPT by HTTPS only", ["tlsrpt": txt("_smtp._tls.", "v=TLSRPTv1; rua=https://kartapuce.test/tls")], [.tlsrptNoMail]),
        Fault("no answer for TLSRPT", ["x": ";!SERVFAIL _smtp._tls.kartapuce.test. TXT"], [.tlsrptUnknown]),
        // SPF
        Fault("no SPF", ["spf": ""], [.spfMissing]),
        Fault("two SPF", ["x": txt("", "v=spf1 -all")], [.spfSeveral]),
        Fault("broken SPF", spf("ip4:203.0.113.300 -all"), [.spfInvalid]),
        Fault("+all", spf("ip4:203.0.113.0/24 +all"), [.spfPassAll]),
        Fault("included +all", spf("include:_spf.kartapuce.test -all").merging(["x": txt("_spf.", "v=spf1 +all")]) { $1 }, [.spfPassAll, .spfNames]),
        Fault("?all", spf("ip4:203.0.113.0/24 ?all"), [.spfNeutral]),
        Fault("no all", spf("ip4:203.0.113.0/24"), [.spfNeutral]),
        Fault("a redirection to ~all", spf("redirect=_spf.kartapuce.test").merging(["x": txt("_spf.", "v=spf1 ip4:203.0.113.0/24 ~all")]) { $1 }, []),
        Fault("a redirection to nothing", spf("redirect=_spf.kartapuce.test"), [.spfIncludeMissing, .spfNeutral]),
        Fault("ptr", spf("ptr -all"), [.spfPtr]),
        Fault("a network of 16 million", spf("ip4:203.0.0.0/8 -all"), [.spfBroad]),
        Fault("hosts instead of addresses", spf("mx -all"), [.spfNames]),
        Fault("a host that isn't there", spf("a:gone.kartapuce.test -all"), [.spfVoid, .spfNames]),
        Fault("three hosts that aren't there", spf("a:g1.kartapuce.test a:g2.kartapuce.test exists:g3.kartapuce.test -all"), [.spfVoids, .spfNames]),
        Fault("an include that isn't there", spf("include:gone.kartapuce.test -all"), [.spfIncludeMissing, .spfNames]),
        Fault("behind all", spf("-all ip4:203.0.113.0/24"), [.spfIgnored]),
        Fault("eleven look-ups", spf((1...11).map { _ in "a:mail.kartapuce.test" }.joined(separator: " ") + " -all"), [.spfLookups, .spfNames]),
        Fault("nine look-ups", spf((1...9).map { _ in "a:mail.kartapuce.test" }.joined(separator: " ") + " -all"), [.spfNearLimit, .spfNames]),
        Fault(
            "a circle of includes", spf("include:_a.kartapuce.test -all").merging(["x": txt("_a.", "v=spf1 include:kartapuce.test -all")]) { $1 }, [.spfNames]),
        Fault("the retired type", ["x": "kartapuce.test. TYPE99 \\# 3 02 2D61"], [.spfOldType]),
        Fault("no answer for SPF", ["x": ";!SERVFAIL kartapuce.test. TXT"], [.spfUnknown]),
        Fault(
            "no answer for an include", spf("include:_a.kartapuce.test -all").merging(["x": ";!SERVFAIL _a.kartapuce.test. TXT"]) { $1 },
            [.spfUnknown, .spfNames]),
        // DKIM
        Fault("no key", ["dkim1": "", "dkim2": ""], [.dkimNone]),
        Fault("a key that was named isn't there", [:], [.dkimMissing], selectors: ["p2026"]),
        Fault("two records", ["x": "s1._domainkey.kartapuce.test. TXT \"v=DKIM1; p=\""], [.dkimSeveral, .dkimEd25519Only]),
        Fault("no base64", dkim("v=DKIM1; p=!!"), [.dkimInvalid, .dkimEd25519Only]),
        Fault("no key of the type", dkim("v=DKIM1; k=ed25519; p=AAAA"), [.dkimInvalid, .dkimEd25519Only]),
        Fault("512 bits", dkim("v=DKIM1; p=\(SampleKeys.rsa512)"), [.dkimSmall, .dkimEd25519Only]),
        Fault("1024 bits", dkim("v=DKIM1; p=\(SampleKeys.rsa1024)"), [.dkimWeak]),
        Fault("8192 bits", dkim("v=DKIM1; p=\(SampleKeys.rsa8192)"), [.dkimLarge, .dkimEd25519Only]),
        Fault("SHA-1 only", dkim("v=DKIM1; h=sha1; p=\(SampleKeys.rsa2048)"), [.dkimSha1]),
        Fault("in test", dkim("v=DKIM1; t=y; p=\(SampleKeys.rsa2048)"), [.dkimTesting]),
        Fault("not for mail", dkim("v=DKIM1; s=chat; p=\(SampleKeys.rsa2048)"), [.dkimService]),
        Fault("revoked", dkim("v=DKIM1; p="), [.dkimRevoked, .dkimEd25519Only]),
        Fault("no answer for a named key", ["x": ";!TIMEOUT p2026._domainkey.kartapuce.test. TXT"], [.dkimUnknown], selectors: ["p2026"]),
        // DMARC
        Fault("no DMARC", ["dmarc": ""], [.dmarcMissing, .bimiPolicy]),
        Fault("two DMARC", ["x": txt("_dmarc.", "v=DMARC1; p=none")], [.dmarcSeveral, .bimiPolicy]),
        Fault("DMARC without a policy", dmarc("p=sometimes"), [.dmarcInvalid, .bimiPolicy]),
        Fault("a tag twice", dmarc("p=reject; p=none; \(rua)"), [.dmarcInvalid, .bimiPolicy]),
        Fault("p=none", dmarc("p=none; \(rua)"), [.dmarcNone, .bimiPolicy]),
        Fault("t=y", dmarc("p=reject; t=y; \(rua)"), [.dmarcTesting]),
        Fault("pct", dmarc("p=reject; pct=20; \(rua)"), [.dmarcPartial, .dmarcObsolete]),
        Fault("a weaker sp", dmarc("p=reject; sp=quarantine; \(rua)"), [.dmarcSubdomains]),
        Fault("a weaker np", dmarc("p=reject; np=none; \(rua)"), [.dmarcSubdomains]),
        Fault("no rua", dmarc("p=reject"), [.dmarcNoReports]),
        Fault("reports to somebody who didn't agree", dmarc("p=reject; rua=mailto:dmarc@gmail.test"), [.dmarcReportsRefused]),
        Fault(
            "reports to somebody who agreed",
            dmarc("p=reject; rua=mailto:dmarc@gmail.test").merging(
                ["x": "kartapuce.test._report._dmarc.gmail.test. TXT \"v=DMARC1\""]) { $1 }, []),
        Fault("reports to no address", dmarc("p=reject; rua=dmarc@kartapuce.test"), [.dmarcReportsUnusable]),
        Fault("ruf", dmarc("p=reject; \(rua); ruf=mailto:f@kartapuce.test"), [.dmarcFailureReports]),
        Fault("retired tags", dmarc("p=reject; ri=3600; rf=afrf; \(rua)"), [.dmarcObsolete]),
        Fault("an unknown tag", dmarc("p=reject; colour=red; \(rua)"), [.dmarcOddities]),
        Fault("no answer for DMARC", ["x": ";!SERVFAIL _dmarc.kartapuce.test. TXT"], [.dmarcUnknown, .bimiPolicy]),
        // BIMI
        Fault("no logo", ["bimi": ""], [.bimiNone], without: [.bimiUnchecked]),
        Fault("a logo declined", ["bimi": txt("default._bimi.", "v=BIMI1; l=; a=;")], [.bimiDeclined], without: [.bimiUnchecked]),
        Fault("a broken logo record", ["bimi": txt("default._bimi.", "v=BIMI1; l=http://kartapuce.test/logo.svg")], [.bimiInvalid], without: [.bimiUnchecked]),
        Fault("two logo records", ["x": txt("default._bimi.", "v=BIMI1; l=https://kartapuce.test/2.svg")], [.bimiSeveral], without: [.bimiUnchecked]),
        Fault("a logo without a certificate", ["bimi": txt("default._bimi.", "v=BIMI1; l=https://kartapuce.test/logo.svg")], [.bimiNoEvidence]),
        Fault("no answer for the logo", ["x": ";!SERVFAIL default._bimi.kartapuce.test. TXT"], [.bimiUnknown], without: [.bimiUnchecked]),
        // CAA
        Fault("no CAA", ["caa": ""], [.caaMissing]),
        Fault("a critical property", ["x": "kartapuce.test. CAA 128 tbs \"x\""], [.caaUnknownTag]),
        Fault("CAA that names nobody", ["caa": "kartapuce.test. CAA 0 issue \"%%%\""], [.caaInvalid]),
        Fault("CAA without an account", ["caa": "kartapuce.test. CAA 0 issue \"authority.test\""], [.caaNoAccount]),
        Fault("no answer for CAA", ["x": ";!SERVFAIL kartapuce.test. CAA"], [.caaUnknown]),
        // Mail programs
        Fault("no SRV", ["submissions": "", "imaps": "", "submission": "", "imap": ""], [.clientsMissing]),
        Fault("all refused", ["submissions": "", "imaps": ""], [.clientsRefused]),
        Fault("only STARTTLS", ["imaps": "", "imap": "_imap._tcp.kartapuce.test. SRV 0 1 143 mail.kartapuce.test."], [.clientsPlain]),
        Fault("a host without an address", ["imaps": "_imaps._tcp.kartapuce.test. SRV 0 1 993 imap.kartapuce.test."], [.clientsTarget]),
        Fault(
            "a host that is an alias",
            [
                "imaps": "_imaps._tcp.kartapuce.test. SRV 0 1 993 imap.kartapuce.test.",
                "x": "imap.kartapuce.test. CNAME mail.kartapuce.test.",
            ], [.clientsTarget]),
        Fault("no answer for SRV", ["x": ";!SERVFAIL _imaps._tcp.kartapuce.test. SRV"], [.clientsUnknown], without: [.clientsSettingsUnchecked]),
        Fault("no settings", ["autoconfig": "", "autodiscover": ""], [.clientsNoSettings], without: [.clientsSettingsUnchecked]),
        Fault(
            "neither settings nor SRV", ["autoconfig": "", "autodiscover": "", "submissions": "", "imaps": "", "submission": "", "imap": ""],
            [.clientsMissing], without: [.clientsSettingsUnchecked]),
        Fault(
            "no answer for the settings' host", ["autoconfig": ";!SERVFAIL autoconfig.kartapuce.test. A"], [.clientsUnknown],
            without: [.clientsSettingsUnchecked]),
        // Bogus answers
        Fault("bogus SPF", ["x": ";!BOGUS kartapuce.test. TXT"], [.dnssecBogus]),
        Fault("bogus TLSRPT", ["x": ";!BOGUS _smtp._tls.kartapuce.test. TXT"], [.dnssecBogus]),
    ]

    @Test(arguments: faults) func eachFaultIsFoundAndNothingElse(_ fault: Fault) async throws {
        let report = try await SampleZone.good.with(fault.changes).check(selectors: fault.selectors)
        #expect(report.problems == Self.unlooked.union(fault.found).subtracting(fault.gone), "\(report.text(isVerbose: true))")
        // Whoever reads of a problem reads what shows it, which rule it breaks, and what to do.
        for finding in report.findings where finding.severity >= .warning {
            #expect(!finding.advice.isEmpty && !finding.reference.isEmpty, "\(finding.code)")
        }
    }

    @Test func whatIsPublishedElsewhereIsFoundToo() async throws {
        let zone = SampleZone.good.with(["a": "www.kartapuce.test. A 203.0.113.80", "p": "80.113.0.203.in-addr.arpa. PTR www.kartapuce.test."])
        let report = try await zone.check(SampleZone.name("www.kartapuce.test"))
        #expect(report.problems.isSuperset(of: [.mxImplicit, .spfMissing, .dmarcInherited]), "\(report.text())")
        #expect(!report.problems.contains(.dmarcMissing))
    }

    @Test func aDomainThatDoesNotExistIsSaidOnce() async throws {
        let report = try await SampleZone.good.check(SampleZone.name("nobody.test"))
        #expect(report.findings.map(\.code) == [.domainMissing])
        #expect(report.result == .error)
    }

    @Test func anAnswerThatDoesNotComeIsNoFault() async throws {
        let report = try await SampleZone.good.with(["x": ";!TIMEOUT kartapuce.test. MX"]).check()
        #expect(report.problems.contains(.domainUnknown))
        let bogus = try await SampleZone.good.with(["x": ";!BOGUS kartapuce.test. MX"]).check()
        #expect(bogus.problems.contains(.dnssecBogus))
        #expect(bogus.result == .error)
    }

    // MARK: Domains without mail (checklist of gateways, A25)

    @Test func aDomainWithoutMailIsGoodWhenItSaysSo() async throws {
        let report = try await SampleZone.unused.check()
        #expect(report.problems.isEmpty, "\(report.text())")
        #expect(Set(report.findings.map(\.code)).isSuperset(of: [.domainUnused, .mxNull, .dkimClosed]))
    }

    @Test(arguments: [
        ("spf", "kartapuce.test. TXT \"v=spf1 ip4:203.0.113.0/24 -all\"", PostureCode.spfNotClosed),
        ("spf", "kartapuce.test. TXT \"v=spf1 ~all\"", .spfNotClosed), ("spf", "", .spfNotClosed),
        ("dmarc", "_dmarc.kartapuce.test. TXT \"v=DMARC1; p=quarantine; rua=mailto:d@kartapuce.test\"", .dmarcNotClosed), ("dmarc", "", .dmarcNotClosed),
        ("dmarc", "_dmarc.kartapuce.test. TXT \"v=DMARC1; p=reject\"", .dmarcNoReports),
        ("mx", "kartapuce.test. MX 10 .", .mxNullPreference), ("mx", "", .mxNone),
    ]) func aDomainWithoutMailMustSaySo(_ key: String, _ line: String, _ code: PostureCode) async throws {
        let report = try await SampleZone.unused.with([key: line]).check()
        #expect(report.problems == [code], "\(report.text())")
        #expect(!report.findings.contains { $0.code == .domainUnused } || code == .dmarcNoReports || code == .mxNullPreference)
    }

    // MARK: Settings of mail programs

    /// Answers as a test wants, and keeps what it was asked.
    struct Settings: PostureSettingsProbe {
        var autoconfig: PostureSettingsAnswer
        var autodiscover: PostureSettingsAnswer = .answered(status: 404, body: [])
        func ask(_ host: DomainName, _ target: String, body: String?) async -> PostureSettingsAnswer {
            body == nil ? autoconfig : autodiscover
        }
    }

    private static func autoconfig(
        imap: String = "mail.kartapuce.test", _ port: Int = 993, _ socket: String = "SSL", more: String = ""
    ) -> PostureSettingsAnswer {
        .answered(
            status: 200,
            body: Array(
                """
                <?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="x">\(more)
                <incomingServer type="imap"><hostname>\(imap)</hostname><port>\(port)</port><socketType>\(socket)</socketType></incomingServer>
                <outgoingServer type="smtp"><hostname>Mail.Kartapuce.Test.</hostname><port>465</port><socketType>SSL</socketType></outgoingServer>
                </emailProvider></clientConfig>
                """.utf8))
    }

    private static func autodiscover(_ fields: String) -> PostureSettingsAnswer {
        .answered(
            status: 200,
            body: Array(
                """
                <Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"><Response xmlns="x"><Account>
                <Protocol><Type>IMAP</Type><Server>mail.kartapuce.test</Server>\(fields)</Protocol></Account></Response></Autodiscover>
                """.utf8))
    }

    struct Told: Sendable, CustomTestStringConvertible {
        var name: String
        var settings: Settings
        var found: Set<PostureCode>
        var changes: [String: String] = ["autodiscover": ""]
        var testDescription: String { name }
    }

    private static let plain =
        "<incomingServer type=\"imap\"><hostname>mail.kartapuce.test</hostname><port>143</port><socketType>plain</socketType></incomingServer>"
    private static let startTLS = plain.replacing("plain", with: "STARTTLS")
    private static let pop = plain.replacing("\"imap\"", with: "\"pop3\"")

    static let told = [
        Told(name: "the same as the SRV records", settings: .init(autoconfig: autoconfig()), found: [.clientsSettings]),
        Told(name: "STARTTLS beside", settings: .init(autoconfig: autoconfig(more: startTLS)), found: [.clientsSettings]),
        Told(name: "POP beside", settings: .init(autoconfig: autoconfig(more: pop)), found: [.clientsSettings]),
        Told(name: "another host", settings: .init(autoconfig: autoconfig(imap: "old.kartapuce.test")), found: [.clientsSettingsDiffer]),
        Told(name: "another port", settings: .init(autoconfig: autoconfig(9993)), found: [.clientsSettingsDiffer]),
        Told(name: "only STARTTLS", settings: .init(autoconfig: autoconfig(143, "STARTTLS")), found: [.clientsSettingsPlain]),
        Told(name: "no encryption beside", settings: .init(autoconfig: autoconfig(more: plain)), found: [.clientsSettingsPlain]),
        Told(name: "no XML", settings: .init(autoconfig: .answered(status: 200, body: Array("<html>".utf8))), found: [.clientsSettingsWrong]),
        Told(
            name: "entities", settings: .init(autoconfig: .answered(status: 200, body: Array("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>".utf8))),
            found: [.clientsSettingsWrong]),
        Told(name: "no server", settings: .init(autoconfig: .answered(status: 200, body: Array("<clientConfig/>".utf8))), found: [.clientsNoSettings]),
        Told(name: "not found", settings: .init(autoconfig: .answered(status: 404, body: [])), found: [.clientsNoSettings]),
        Told(name: "another certificate", settings: .init(autoconfig: .failed("the certificate is for another name")), found: [.clientsSettingsWrong]),
        Told(
            name: "all names lead somewhere", settings: .init(autoconfig: .failed("the certificate is for another name")), found: [.clientsNoSettings],
            changes: ["autodiscover": "", "x": "*.kartapuce.test. A 203.0.113.80"]),
        Told(
            name: "Autodiscover", settings: .init(autoconfig: .failed("-"), autodiscover: autodiscover("<Port>993</Port><SSL>on</SSL>")),
            found: [.clientsSettings], changes: ["autoconfig": ""]),
        Told(
            name: "Autodiscover without SSL", settings: .init(autoconfig: .failed("-"), autodiscover: autodiscover("<Port>143</Port><SSL>off</SSL>")),
            found: [.clientsSettingsPlain], changes: ["autoconfig": ""]),
        Told(
            name: "Autodiscover with STARTTLS",
            settings: .init(autoconfig: .failed("-"), autodiscover: autodiscover("<Port>143</Port><SSL>on</SSL><Encryption>TLS</Encryption>")),
            found: [.clientsSettingsPlain], changes: ["autoconfig": ""]),
        Told(
            name: "Autodiscover that wants a password", settings: .init(autoconfig: .failed("-"), autodiscover: .answered(status: 401, body: [])),
            found: [.clientsNoSettings], changes: ["autoconfig": ""]),
    ]

    @Test(arguments: told) func whatMailProgramsAreToldIsCompared(_ test: Told) async throws {
        let report = try await SampleZone.good.with(test.changes).check(probes: PostureProbes(settings: test.settings))
        let codes: Set<PostureCode> = [
            .clientsSettings, .clientsNoSettings, .clientsSettingsDiffer, .clientsSettingsPlain, .clientsSettingsWrong, .clientsSettingsUnchecked,
        ]
        #expect(Set(report.findings.map(\.code)).intersection(codes) == test.found, "\(report.text(isVerbose: true))")
    }

    // MARK: Reports

    @Test func theTextTellsProblemsWithEvidenceAndGoodThingsShort() async throws {
        let text = try await SampleZone.good.with(["dmarc": "_dmarc.kartapuce.test. TXT \"v=DMARC1; p=none; rua=mailto:d@kartapuce.test\""]).check().text()
        #expect(text.hasPrefix("kartapuce.test: 2 warnings, 4 things not looked at\n"), "\(text)")
        #expect(text.contains("_dmarc.kartapuce.test. TXT: \"v=DMARC1; p=none; rua=mailto:d@kartapuce.test\""))
        #expect(text.contains("dmarc.none, RFC 9989 §4.7"))
        #expect(text.contains("  ok       kartapuce.test allows what it names and nobody else"))
        #expect(!text.contains("something else"))
    }

    @Test func whatOthersSayCannotMoveTheCursor() async throws {
        let text = try await SampleZone.good.with(["spf": "kartapuce.test. TXT \"v=spf1 \\027[2J +all\""]).check().text(isVerbose: true)
        #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
    }

    @Test func everyCodeHasItsTopicAndItsRule() {
        for code in PostureCode.allCases {
            #expect(code.rawValue.hasPrefix(code.topic.rawValue + "."))
            #expect(!code.title.isEmpty && !code.reference.isEmpty)
            #expect(code.severity < .warning || !code.advice.isEmpty, "\(code)")
        }
    }
}

/// The documentation has every code, with its severity and rule.
@Suite struct PostureDocumentationTests {
    @Test func theTableIsTheCatalogue() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Documentation/check.md")
        let text = try String(contentsOf: file, encoding: .utf8)
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("| `") && $0.contains(".") }.map { row in
            row.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast().map { $0.trimmingCharacters(in: .whitespaces) }
        }.filter { $0.count == 5 }
        let expected = PostureCode.allCases.map { ["`\($0.rawValue)`", $0.severity.rawValue, $0.title, $0.advice, $0.reference] }
        #expect(rows.count == expected.count)
        for (row, wanted) in zip(rows, expected) { #expect(row == wanted) }
    }
}
