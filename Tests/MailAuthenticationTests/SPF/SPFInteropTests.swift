import DNS
import Foundation
import MailAuthentication
import Testing

/// The same questions to pyspf and Mail::SPF.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_PEERS"] != nil, "needs pyspf and Mail::SPF; make interop installs them beside the system"))
struct SPFInteropTests {
    @Test(arguments: SPFPeer.allCases, Array(UInt64(1)...4))
    func madeUpRecordsGiveTheSameResults(peer: SPFPeer, seed: UInt64) async throws {
        var generator = SPFCaseGenerator(seed: seed)
        let cases = (0..<500).map { _ in generator.next() }
        let theirs = try peer.results(of: cases)
        try #require(theirs.count == cases.count)
        var counts: [String: Int] = [:]
        for (index, (test, their)) in zip(cases, theirs).enumerated() {
            let checker = SPFChecker(resolver: test.resolver, receivingHost: "mail.kartapuce.test")
            let ours = await checker.check(address: try #require(IPAddress(test.ip)), helo: test.helo, mailFrom: test.from, at: .distantPast)
            counts[ours.result.rawValue, default: 0] += 1
            if ours.result == .fail, their.result == "fail", !test.from.hasPrefix("@") {
                // Not where there is no local part: they forget “postmaster” (RFC 7208 §4.3).
                let explanation = ours.explanation ?? "SPF fail - not authorized"
                // RFC 7208 §7.1: a percent sign alone is a syntax error, so that there is no explanation (§6.2); Mail::SPF lets it stand.
                let isDisputed = peer == .mailSPF && ours.explanation == nil && their.explanation.hasSuffix(" %")
                #expect(explanation == their.explanation || isDisputed, "\(peer), seed \(seed), case \(index): \(test.records.first?.value ?? "")")
            }
            guard ours.result.rawValue != their.result, !test.isDisputed(ours, peer, their.result, their.reason) else { continue }
            let zone = test.records.map { "\($0.name) \($0.type) \($0.value)" }.joined(separator: "\n")
            let story = ours.terms.map { "\($0.depth) \($0.domain) \($0.text): \($0.target ?? "") \($0.note)" }.joined(separator: "\n")
            Issue.record(
                "\(peer), seed \(seed), case \(index): \(test.ip) \(test.helo) \(test.from): \(ours.result), they say \(their); \(ours.problem ?? "")\n\(zone)\n\(story)"
            )
        }
        // The generator is worth something only as long as it reaches every result.
        #expect(Set(counts.keys) == Set(SPFResult.allCases.map(\.rawValue)), "\(counts)")
    }
}

/// A zone with a client and a sender.
struct SPFInteropCase: Encodable {
    struct Record: Encodable {
        var name: String
        var type: String
        var value: String
    }
    var records: [Record]
    var ip: String
    var helo: String
    var from: String

    var resolver: ZoneResolver {
        var resolver = ZoneResolver()
        for record in records {
            guard let name = try? DomainName.question(record.name) else { continue }
            let target = (try? DomainName.question(record.value)) ?? .root
            switch record.type {
            case "A", "AAAA":
                if let address = IPAddress(record.value) { resolver.add(name, record.type == "A" ? .a : .aaaa, .address(address)) }
            case "MX": resolver.add(name, .mx, .mx(preference: 10, exchange: target))
            case "PTR": resolver.add(name, .ptr, .name(target))
            case "CNAME": resolver.alias(name, to: target)
            case "TXT": resolver.add(name, .txt, .txt(Array(record.value.utf8)))
            default: resolver.fail(name, with: .timeout)
            }
        }
        return resolver
    }

    /// Where RFC 7208 says what they don't do, or leaves the choice.
    func isDisputed(_ ours: SPFEvaluation, _ peer: SPFPeer, _ their: String, _ reason: String) -> Bool {
        switch peer {
        case .pyspf: isDisputedByPyspf(ours, their, reason)
        case .mailSPF: isDisputedByMailSPF(ours, their, reason)
        }
    }

    private func isDisputedByMailSPF(_ ours: SPFEvaluation, _ their: String, _ reason: String) -> Bool {
        // RFC 7208 §5, §5.6: an IPv4 address is one, also where it is written as IPv6; they look for it in networks of IPv6 as well.
        if case .v4? = IPAddress(ip)?.unmapped, reason.contains(/Mechanism '[-+?~]?ip6:/) { return true }
        // RFC 7208 §4.6.4: more than 10 MX records are an error; they take no notice of those beyond.
        if ours.result == .permerror, ours.problem?.contains("MX records, more than 10") == true { return true }
        // RFC 7208 §4.6.4 limits the terms with questions that have no answer; they count the questions, and those for the macro p as well …
        if their == "permerror", reason.contains("void DNS look-ups limit"), ours.voidLookups > 0 { return true }
        // … but none that an alias answers which leads nowhere.
        return ours.result == .permerror && ours.problem?.contains("terms have questions without an answer") == true
            && ours.terms.contains { $0.target == "cname.test" }
    }

    private func isDisputedByPyspf(_ ours: SPFEvaluation, _ their: String, _ reason: String) -> Bool {
        // RFC 7208 §5.2 has no rule of its own for a record that includes itself; the limit of terms ends it when it is evaluated.
        if their == "permerror", reason.contains("trivial recursion") { return true }
        // RFC 7208 §4.6.4 limits the terms with questions that have no answer; they count the questions, and aliases twice.
        if their == "permerror", reason.contains("Void lookup limit"), ours.voidLookups > 0 { return true }
        // RFC 7208 §6: unknown modifiers may come often, and the known ones once whatever the case of their letters.
        if their == "permerror", reason.contains("x= MUST appear at most once") { return true }
        if ours.result == .permerror, ours.problem?.contains("“exp” comes twice") == true { return true }
        // RFC 7208 §12: the value of an unknown modifier is a macro-string too; they accept any.
        if ours.result == .permerror, ours.problem?.contains("“%”") == true, records.contains(where: { $0.value.contains("x=") || $0.value.contains("foo=") }) {
            return true
        }
        // RFC 7208 §5.5: where the address of a name can't be looked up, that name is skipped; they end, even for a term that isn't evaluated.
        return their == "temperror" && records.contains { $0.value == "slow.test" && $0.type == "PTR" && $0.name == reverseName }
            && records.contains { $0.value.contains("%{p}") || $0.value.lowercased().contains("ptr") }
    }

    private var reverseName: String? { IPAddress(ip).map { ReverseName.name(of: $0.unmapped).ascii } }
}

/// Makes cases out of few names and addresses, so that they meet often.
struct SPFCaseGenerator {
    private var state: UInt64
    private static let domains = ["gmail.test", "_spf.gmail.test", "other.test", "deep.other.test"]
    private static let hosts = ["mx1.test", "mx2.test", "cname.test", "void.test", "slow.test", "Host.gmail.test", "ten.test", "eleven.test"]
    private static let addresses = ["203.0.113.1", "203.0.113.2", "203.0.113.77", "198.51.100.7"]
    private static let longAddresses = ["2001:db8::1", "2001:db8::2:1", "2001:db8:ffff::7"]

    init(seed: UInt64) { state = seed }

    private mutating func number(_ limit: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((value ^ (value >> 31)) % UInt64(limit))
    }

    private mutating func one<Element>(_ elements: [Element]) -> Element { elements[number(elements.count)] }
    private mutating func often(_ percent: Int) -> Bool { number(100) < percent }

    mutating func next() -> SPFInteropCase {
        var records: [SPFInteropCase.Record] = []
        func add(_ name: String, _ type: String, _ value: String) { records.append(.init(name: name, type: type, value: value)) }
        for (index, domain) in Self.domains.enumerated() where index == 0 || often(85) {
            add(domain, "TXT", record())
            if often(3) { add(domain, "TXT", record()) }
            if often(20) { add(domain, "TXT", "another text") }
            if often(60) { add(domain, "A", one(Self.addresses)) }
            if often(40) { add(domain, "AAAA", one(Self.longAddresses)) }
            if often(60) { add(domain, "MX", one(["mx1.test", "mx2.test", "mx1.test", "slow.test", "void.test"])) }
        }
        add("mx1.test", "A", one(Self.addresses))
        add("mx2.test", "A", one(Self.addresses))
        add("mx2.test", "AAAA", one(Self.longAddresses))
        add("mx1.test", "TXT", "v=spf1 a -all")
        add("host.gmail.test", "A", one(Self.addresses))
        add("host.gmail.test", "AAAA", one(Self.longAddresses))
        add("cname.test", "CNAME", one(["mx1.test", "gmail.test", "other.test"]))
        add("slow.test", "TIMEOUT", "")
        let macros = ["s", "l", "o", "d", "i", "v", "h", "c", "r", "S", "L", "d2", "dr", "d1r", "ir", "lr-", "l1+.", "O2", "i5r", "hr", "Hr"]
        add("why.test", "TXT", "%{\(one(macros))} and%_%{\(one(macros))}%%%-%{\(one(macros))}\(one(["", "", ".", " %", "%{x}"]))")
        for index in 0..<11 {
            if index < 10 { add("ten.test", "MX", "n\(index).ten.test") }
            add("eleven.test", "MX", "n\(index).ten.test")
            add("n\(index).ten.test", "A", "198.51.100.\(index)")
            add("n\(index).ten.test", "AAAA", "2001:db8:5::\(index)")
        }
        for name in ["tom.gmail.test", "203.0.113.1.gmail.test", "1.113.0.203.in-addr._spf.gmail.test", "bad.strong.other.test", "mail.gmail.test"] {
            add(name, "A", "127.0.0.2")
        }
        for (name, host) in [
            ("1.113.0.203.in-addr.arpa", "host.gmail.test"), ("2.113.0.203.in-addr.arpa", "mx1.test"), ("7.100.51.198.in-addr.arpa", "slow.test"),
        ] {
            add(name, "PTR", host)
            if often(30) { add(name, "PTR", "mx2.test") }
        }
        let ip = often(70) ? one(Self.addresses) : often(80) ? one(Self.longAddresses) : "::ffff:" + one(Self.addresses)
        let from = one(["tom@gmail.test", "strong-bad@Gmail.Test", "@gmail.test", "", "a.b+c@other.test", "x@nowhere.test", "x@test"])
        return SPFInteropCase(records: records, ip: ip, helo: one(["mail.gmail.test", "mx1.test", "gmail.test", "localhost"]), from: from)
    }

    private mutating func record() -> String {
        var text = "v=spf1"
        for _ in 0..<number(6) { text += (often(90) ? " " : "  ") + term() }
        if often(60) { text += one([" -all", " ~all", " ?all", " all", " redirect=other.test", " redirect=%{d2}", " redirect=_spf.%{o}"]) }
        if often(25) { text += " exp=why.test" }
        if often(10) { text += one([" exp=none.test", " foo=bar", " foo=%{h}", " a.b=", " -foo=x", " Exp=a.test"]) }
        if often(12) { text = mutated(text) }
        return text
    }

    private mutating func term() -> String {
        let qualifier = one(["", "", "", "+", "-", "~", "?"])
        let domain = often(50) ? one(Self.domains) : often(60) ? one(Self.hosts) : one(["%{d}", "%{o}", "%{d2}", "_spf.%{d2}", "%{h}", "%{l}.%{d}", "%{p}"])
        let prefix = often(60) ? "" : one(["/24", "/8", "/32", "/0", "//64", "/24//32", "//128", "/25", "//0"])
        switch number(11) {
        case 0: return qualifier + "a" + prefix
        case 1: return qualifier + "a:" + domain + prefix
        case 2: return qualifier + one(["mx", "MX"]) + prefix
        case 3: return qualifier + "mx:" + domain + prefix
        case 4: return qualifier + "ip4:" + one(Self.addresses) + one(["", "/24", "/31", "/8", "/0", "/32"])
        case 5: return qualifier + "ip6:" + one(Self.longAddresses + ["2001:DB8::", "::ffff:203.0.113.1"]) + one(["", "/64", "/32", "/127", "/0"])
        case 6: return qualifier + "ptr" + (often(50) ? "" : ":" + domain)
        case 7: return qualifier + "exists:" + one(["%{i}.%{d}", "%{ir}.%{v}._spf.%{d2}", "%{l}.%{d}", "%{lr-}.other.test", "%{h}", "%{L}.%{o}", domain])
        case 8, 9: return qualifier + one(["include:", "Include:"]) + domain
        default: return one([qualifier + "all", "redirect=" + domain, "x=%{d}", qualifier + "exists:void.test"])
        }
    }

    private mutating func mutated(_ text: String) -> String {
        var octets = Array(text.utf8)
        let place = 6 + number(octets.count - 5)
        switch number(3) {
        case 0: octets.insert(one(Array(":/=%.-+ {}x0_~".utf8)), at: place)
        case 1 where place < octets.count: octets.remove(at: place)
        default: if place < octets.count { octets[place] = one(Array(":/=%.-+ {}x0_~".utf8)) }
        }
        return String(decoding: octets, as: UTF8.self)
    }
}

/// Implementations of SPF that no one here wrote, each with a zone in the place of the DNS.
enum SPFPeer: String, CaseIterable, Sendable, CustomTestStringConvertible {
    /// In the interpreter that `POSTERN_PEERS_PYTHON` names, or python3.
    case pyspf
    /// In Perl, from the layer `authentication` below `POSTERN_PEERS`.
    case mailSPF = "Mail::SPF"

    var testDescription: String { rawValue }

    func results(of cases: [SPFInteropCase]) throws -> [(result: String, reason: String, explanation: String)] {
        let output = try run(JSONEncoder().encode(cases))
        try #require(output.status == 0)
        return try JSONDecoder().decode([[String]].self, from: output.data).map { answer in
            // pyspf explains errors where it explains failures.
            (answer.first ?? "", self == .pyspf ? answer.last ?? "" : answer.dropFirst().first ?? "", answer.last ?? "")
        }
    }

    private var command: [String] {
        let environment = ProcessInfo.processInfo.environment
        switch self {
        case .pyspf: return ["/usr/bin/env", environment["POSTERN_PEERS_PYTHON"] ?? "python3", "-c", Self.python]
        case .mailSPF:
            let base = environment["POSTERN_PEERS"] ?? ""
            return ["\(base)/run", "\(base)/authentication", "-", "/usr/bin/perl", "-e", Self.perl]
        }
    }

    private static let python = """
        import json, socket, sys
        import spf
        zone = {}
        def lookup(name, qtype, strict=True, timeout=None, level=0):
            name = name.rstrip('.').lower()
            for record in zone.get(name, []):
                kind, value = record['type'], record['value']
                if kind == 'TIMEOUT':
                    raise spf.TempError('DNS timeout')
                if kind not in (qtype, 'CNAME'):
                    continue
                if kind == 'AAAA':
                    value = socket.inet_pton(socket.AF_INET6, value)
                elif kind == 'TXT':
                    value = (value.encode('utf-8'),)
                elif kind == 'MX':
                    value = (10, value)
                yield ((name, kind), value)
                if kind == 'CNAME' and level < 9:
                    for found in lookup(value, qtype, strict, timeout, level + 1):
                        yield found
        spf.DNSLookup = lookup
        results = []
        for case in json.load(sys.stdin):
            zone.clear()
            for record in case['records']:
                zone.setdefault(record['name'].lower(), []).append(record)
            try:
                results.append(spf.check2(i=case['ip'], s=case['from'], h=case['helo'], receiver='mail.kartapuce.test'))
            except Exception as error:
                results.append(('exception', repr(error)))
        json.dump(results, sys.stdout)
        """

    private static let perl = #"""
        use strict; use warnings;
        use JSON::PP; use Mail::SPF; use Net::DNS;
        # An answer as a resolver gives it: an alias with what it leads to.
        package Zone;
        sub new { my ($class, $records) = @_; my %zone; push @{$zone{lc $_->{name}}}, $_ for @$records; bless {zone => \%zone, error => ''}, $class }
        sub errorstring { $_[0]{error} }
        sub send {
            my ($self, $name, $type) = @_;
            $name =~ s/\.$//; $name = lc $name;
            my $packet = Net::DNS::Packet->new($name, $type);
            for (1 .. 9) {
                my @records = @{$self->{zone}{$name} || []};
                $self->{error} = (grep { $_->{type} eq 'TIMEOUT' } @records) ? 'query timed out' : '';
                return undef if $self->{error};
                my ($alias) = grep { $_->{type} eq 'CNAME' } @records;
                for my $record (grep { $_->{type} eq $type } $alias ? () : @records) {
                    my %data = (A => 'address', AAAA => 'address', PTR => 'ptrdname', TXT => 'txtdata');
                    my %more = $type eq 'MX' ? (preference => 10, exchange => $record->{value}) : ($data{$type} => $record->{value});
                    $packet->push(answer => Net::DNS::RR->new(name => $name, type => $type, ttl => 60, %more));
                }
                last unless $alias;
                $packet->push(answer => Net::DNS::RR->new(name => $name, type => 'CNAME', ttl => 60, cname => $alias->{value}));
                $name = lc $alias->{value};
            }
            return $packet;
        }
        package main;
        my @results;
        for my $case (@{decode_json(do { local $/; <STDIN> })}) {
            my $server = Mail::SPF::Server->new(
                hostname => 'mail.kartapuce.test', dns_resolver => Zone->new($case->{records}),
                default_authority_explanation => 'SPF fail - not authorized', query_rr_types => Mail::SPF::Server->query_rr_type_txt);
            my @scope = (scope => 'mfrom', identity => $case->{from} eq '' ? 'postmaster@' . $case->{helo} : $case->{from}, helo_identity => $case->{helo});
            my $result = eval { $server->process(Mail::SPF::Request->new(versions => [1], ip_address => $case->{ip}, @scope)) };
            my $explanation = $result && $result->is_code('fail') ? $result->authority_explanation : '';
            push @results, [$result ? $result->code : 'exception', $result ? $result->text : "$@", "$explanation"];
        }
        print encode_json(\@results);
        """#

    private func run(_ input: Data) throws -> (status: Int32, data: Data) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        // Files, not pipes: neither side waits for the other.
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("spf-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (question, answer, errors) = (
            folder.appendingPathComponent("question"), folder.appendingPathComponent("answer"), folder.appendingPathComponent("errors")
        )
        try input.write(to: question)
        for file in [answer, errors] { try Data().write(to: file) }
        process.standardInput = try FileHandle(forReadingFrom: question)
        process.standardOutput = try FileHandle(forWritingTo: answer)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        process.waitUntilExit()
        let said = String(decoding: try Data(contentsOf: errors).suffix(2000), as: UTF8.self)
        if process.terminationStatus != 0 { Issue.record("\(rawValue): \(said)") }
        return (process.terminationStatus, try Data(contentsOf: answer))
    }
}
