import DNS
import Foundation
import Testing
import TransportSecurity
import X509

struct DANEVerifierTests {
    private func verify(
        _ records: [TLSARecord], _ chain: [[UInt8]], _ names: [String] = ["mx.kartapuce.test"], at now: Date = TestAuthority.now
    ) throws -> DANEEvaluation {
        DANEVerifier(records: records, references: try names.map { try name($0) }).verify(chain: chain, at: now)
    }

    @Test func everySelectorAndMatchingType() throws {
        let authority = try TestAuthority()
        for selector: UInt8 in 0...1 {
            for matching: UInt8 in 0...2 {
                for (usage, party, depth): (UInt8, TestAuthority.Party, Int) in [(3, authority.server, 0), (2, authority.issuer, 1), (2, authority.root, 2)] {
                    let record = try party.record(usage, selector, matching)
                    let evaluation = try verify([record], try authority.chain)
                    #expect(evaluation.result == .pass && evaluation.depth == depth, "\(usage) \(selector) \(matching): \(evaluation.reason)")
                    #expect(evaluation.records[0].decided && evaluation.records[0].matchedDepths == [depth])
                    // A published anchor with another signature is still that anchor: nobody looks at who signed it.
                    if usage == 2, selector == 0, matching == 0 { continue }
                    var other = record
                    other.data[other.data.count - 1] ^= 1
                    #expect(try verify([other], try authority.chain).result != .pass)
                }
            }
        }
    }

    @Test func endEntityRecordsIgnoreNamesTimesAndChains() throws {
        let authority = try TestAuthority(
            server: .init(
                commonName: "x", names: ["other.test"], purposes: [.emailProtection], unknownCritical: true, notAfter: TestAuthority.now - 1))
        let evaluation = try verify([try authority.server.record(3, 1, 1)], [try authority.server.octets], [])
        #expect(evaluation.result == .pass && evaluation.depth == 0 && evaluation.matchedName == nil)
        // The issuer's key at the server's place isn't the server's.
        #expect(try verify([try authority.issuer.record(3, 1, 1)], try authority.chain).result == .fail)
        // Nor does a certificate that can't be read stand in its way.
        let odd: [UInt8] = [0x30, 3, 2, 1, 0]
        #expect(try verify([TLSARecord(usage: 3, selector: 0, matchingType: 0, data: odd)], [odd]).result == .unusable)
    }

    @Test func anchorsNeedNames() throws {
        let authority = try TestAuthority()
        let record = try authority.issuer.record(2, 0, 1)
        let mismatch = try verify([record], try authority.chain, ["mx.gmail.test"])
        #expect(mismatch.result == .fail && mismatch.depth == 1 && mismatch.resultType == .certificateHostMismatch)
        #expect(try verify([record], try authority.chain, ["mx.gmail.test", "mx.kartapuce.test"]).matchedName?.ascii == "mx.kartapuce.test")
        let unchecked = DANEVerifier(records: [record], references: [], checksNames: false).verify(chain: try authority.chain, at: TestAuthority.now)
        #expect(unchecked.result == .pass)
    }

    @Test(arguments: [
        (["*.kartapuce.test"], "mx.kartapuce.test", true), (["*.kartapuce.test"], "a.mx.kartapuce.test", false),
        (["*.kartapuce.test"], "kartapuce.test", false), (["m*.kartapuce.test"], "mx.kartapuce.test", false), (["*.test"], "kartapuce.test", false),
        (["*.*.test"], "mx.kartapuce.test", false), (["MX.Kartapuce.TEST"], "mx.kartapuce.test", true), (["xn--caf-dma.test"], "café.test", true),
        (["café.test"], "café.test", false), (["mx.kartapuce.test."], "mx.kartapuce.test", false), ([".kartapuce.test"], "mx.kartapuce.test", false),
        // The common name counts only where there is no DNS name.
        ([], "common.test", true), (["other.test"], "common.test", false),
    ]) func namesAreCompared(presented: [String], reference: String, matches: Bool) throws {
        // A name that isn't ASCII can't be written as a DNS name; it is left out then.
        guard presented.allSatisfy({ $0.utf8.allSatisfy { $0 < 0x80 } }) else { return }
        let authority = try TestAuthority(server: .init(commonName: "common.test", names: presented))
        let evaluation = try verify([try authority.issuer.record(2, 1, 1)], try authority.chain, [reference])
        #expect((evaluation.result == .pass) == matches, "\(evaluation.reason)")
    }

    @Test func publishedAnchorsNeedNotBeSent() throws {
        let authority = try TestAuthority()
        let server = [try authority.server.octets]
        #expect(try verify([try authority.issuer.record(2, 0, 0)], server).depth == 1)
        #expect(try verify([try authority.issuer.record(2, 0, 0)], server).result == .pass)
        #expect(try verify([try authority.root.record(2, 0, 0)], server + [try authority.issuer.octets]).depth == 2)
        // RFC 7671 §5.2.3: a bare key that signed the last certificate.
        let bare = try verify([try authority.issuer.record(2, 1, 0)], server)
        #expect(bare.result == .pass && bare.depth == 0 && bare.records[0].decided)
        let second = try verify([try authority.root.record(2, 1, 0)], server + [try authority.issuer.octets])
        #expect(second.result == .pass && second.depth == 1)
        // A digest can't stand for what isn't there.
        #expect(try verify([try authority.issuer.record(2, 0, 1)], server).result == .fail)
        #expect(try verify([try authority.root.record(2, 1, 0)], server).result == .fail)
    }

    @Test func theServersOwnCertificateIsNoAnchor() throws {
        let lone = try TestAuthority.make(.init(commonName: "mx.kartapuce.test", isAuthority: true), issuer: nil)
        #expect(try verify([try lone.record(2, 0, 1)], [try lone.octets]).result == .fail)
        #expect(try verify([try lone.record(3, 0, 1)], [try lone.octets]).result == .pass)
    }

    @Test func chainsMayBeOutOfOrderAndHaveMore() throws {
        let authority = try TestAuthority()
        let other = try TestAuthority()
        let chain = [try authority.server.octets, try other.issuer.octets, try authority.root.octets, [1, 2, 3], try authority.issuer.octets]
        #expect(try verify([try authority.root.record(2, 0, 1)], chain).depth == 2)
        #expect(try verify([try other.issuer.record(2, 0, 1)], chain).result == .fail)
    }

    @Test func strongerDigestsCount() throws {
        let authority = try TestAuthority()
        let weak = try authority.server.record(3, 1, 1)
        var strong = try authority.server.record(3, 1, 2)
        #expect(try verify([weak, strong], try authority.chain).records.map(\.isSuperseded) == [true, false])
        strong.data[0] ^= 1
        #expect(try verify([weak, strong], try authority.chain).result == .fail)
        // Another selector, a whole key, and a digest of the wrong length don't set it aside.
        #expect(try verify([weak, TLSARecord(usage: 3, selector: 0, matchingType: 2, data: strong.data)], try authority.chain).result == .pass)
        #expect(try verify([weak, try authority.issuer.record(3, 1, 0)], try authority.chain).result == .pass)
        #expect(try verify([weak, TLSARecord(usage: 3, selector: 1, matchingType: 2, data: [1])], try authority.chain).result == .pass)
        #expect(try verify([strong, try authority.server.record(3, 1, 0)], try authority.chain).result == .pass)
    }

    @Test func recordsThatCannotBeUsed() throws {
        let authority = try TestAuthority()
        let pkix = [try authority.server.record(1, 1, 1), try authority.issuer.record(0, 0, 1)]
        let unusable = try verify(pkix, try authority.chain)
        #expect(unusable.result == .unusable && unusable.resultType == .tlsaInvalid)
        #expect(try verify(pkix + [try authority.server.record(3, 1, 1)], try authority.chain).result == .pass)
        #expect(try verify(pkix + [try authority.issuer.record(3, 1, 1)], try authority.chain).result == .fail)
        #expect(try verify([], try authority.chain).result == .none)
        #expect(try verify([try authority.server.record(3, 1, 1)], []).problems.map(\.code) == [.noCertificate])
        let many = try verify(Array(repeating: try authority.issuer.record(3, 1, 1), count: 100) + [try authority.server.record(3, 1, 1)], try authority.chain)
        #expect(many.result == .fail && many.records[100].unusable == .tooMany(limit: 100))
    }

    @Test func timesOfThePathCount() throws {
        let past = TestAuthority.now - 1
        let future = TestAuthority.now + 1
        for which in 0..<3 {
            func wish(_ index: Int, _ wish: TestAuthority.Wish, _ change: (inout TestAuthority.Wish) -> Void) -> TestAuthority.Wish {
                var wish = wish
                if index == which { change(&wish) }
                return wish
            }
            func authority(_ change: (inout TestAuthority.Wish) -> Void) throws -> TestAuthority {
                try TestAuthority(
                    server: wish(0, .init(commonName: "s", names: ["mx.kartapuce.test"]), change),
                    issuer: wish(1, .init(commonName: "i", isAuthority: true), change),
                    root: wish(2, .init(commonName: "r", isAuthority: true), change))
            }
            let expired = try authority { $0.notAfter = past }
            let evaluation = try verify([try expired.root.record(2, 0, 1)], try expired.chain)
            #expect(evaluation.resultType == .certificateExpired && evaluation.problems.map(\.depth) == [which] && evaluation.depth == 2)
            let early = try authority { $0.notBefore = future }
            #expect(try verify([try early.root.record(2, 0, 1)], try early.chain).problems.map(\.code) == [.notYetValid])
            #expect(try verify([try early.root.record(2, 0, 1)], try early.chain, at: future).result == .pass)
        }
    }

    private func codes(
        server: TestAuthority.Wish = .init(commonName: "server", names: ["mx.kartapuce.test"]),
        issuer: TestAuthority.Wish = .init(commonName: "I", isAuthority: true),
        root: TestAuthority.Wish = .init(commonName: "R", isAuthority: true)
    ) throws -> [CertificateProblem.Code] {
        let authority = try TestAuthority(server: server, issuer: issuer, root: root)
        let evaluation = try verify([try authority.root.record(2, 0, 1)], try authority.chain)
        #expect((evaluation.result == .pass) == evaluation.problems.isEmpty)
        return evaluation.problems.map(\.code)
    }

    @Test func authoritiesMustBeSuch() throws {
        #expect(try codes() == [])
        #expect(try codes(issuer: .init(commonName: "I")) == [.notAuthority])
        #expect(try codes(issuer: .init(commonName: "I", isAuthority: true, keyUsage: KeyUsage(keyCertSign: true))) == [])
        #expect(try codes(issuer: .init(commonName: "I", isAuthority: true, keyUsage: KeyUsage(digitalSignature: true))) == [.mayNotSign])
        // RFC 7671 §5.2.1: the anchor's own limits hold.
        #expect(try codes(root: .init(commonName: "R", isAuthority: true, pathLength: 0)) == [.pathTooLong])
        #expect(try codes(root: .init(commonName: "R", isAuthority: true, pathLength: 1)) == [])
    }

    @Test func keysMustBeForServers() throws {
        func server(_ usage: KeyUsage?, _ purposes: [ExtendedKeyUsage.Usage]?) -> TestAuthority.Wish {
            .init(commonName: "server", names: ["mx.kartapuce.test"], keyUsage: usage, purposes: purposes)
        }
        #expect(try codes(server: server(KeyUsage(digitalSignature: true), [.serverAuth, .clientAuth])) == [])
        #expect(try codes(server: server(nil, [.any])) == [])
        #expect(try codes(server: server(nil, [.clientAuth])) == [.wrongPurpose])
        #expect(try codes(server: server(KeyUsage(keyCertSign: true), nil)) == [.wrongPurpose])
        #expect(try codes(issuer: .init(commonName: "I", isAuthority: true, purposes: [.emailProtection])) == [.wrongPurpose])
        #expect(try codes(server: .init(commonName: "s", names: ["mx.kartapuce.test"], unknownCritical: true)) == [.unknownCriticalExtension])
    }

    @Test(
        arguments: [
            (["kartapuce.test"], [], true), (["gmail.test"], [], false), ([], ["kartapuce.test"], false), ([], ["gmail.test"], true),
            (["mx.kartapuce.test"], [], true), ([".kartapuce.test"], [], true), (["artapuce.test"], [], false), ([], [""], false),
        ] as [([String], [String], Bool)]) func constraintsOfNamesHold(permitted: [String], excluded: [String], isAllowed: Bool) throws
    {
        let constraints = NameConstraints(
            permittedSubtrees: permitted.map { .dnsName($0) }, excludedSubtrees: excluded.map { .dnsName($0) })
        for wish in [
            TestAuthority.Wish(commonName: "server", names: ["mx.kartapuce.test"]), .init(commonName: "mx.kartapuce.test"),
        ] {
            #expect(try codes(server: wish, issuer: .init(commonName: "I", isAuthority: true, constraints: constraints)).isEmpty == isAllowed)
            #expect(try codes(server: wish, root: .init(commonName: "R", isAuthority: true, constraints: constraints)).isEmpty == isAllowed)
        }
    }

    @Test func constraintsThatAreNotExaminedRefuse() throws {
        let uri = NameConstraints(excludedSubtrees: [.uniformResourceIdentifier("kartapuce.test")])
        #expect(try codes(issuer: .init(commonName: "I", isAuthority: true, constraints: uri)) == [])
        let directory = NameConstraints(permittedSubtrees: [.directoryName(try DistinguishedName { CommonName("SERVER") })])
        #expect(try codes(issuer: .init(commonName: "I", isAuthority: true, constraints: directory)) == [])
        let other = NameConstraints(permittedSubtrees: [.directoryName(try DistinguishedName { CommonName("other") })])
        #expect(try codes(issuer: .init(commonName: "I", isAuthority: true, constraints: other)) == [.nameConstraint])
        // A wildcard could stand for what is excluded.
        let excluded = NameConstraints(excludedSubtrees: [.dnsName("secret.kartapuce.test")])
        let wildcard = TestAuthority.Wish(commonName: "s", names: ["*.kartapuce.test", "mx.kartapuce.test"])
        #expect(try codes(server: wildcard, issuer: .init(commonName: "I", isAuthority: true, constraints: excluded)) == [.nameConstraint])
    }

    /// Certificates of one name that could be each other's issuers make trees of paths: the work has an end.
    @Test(.timeLimit(.minutes(1))) func treesOfPathsEnd() throws {
        let key = TestAuthority.Wish(commonName: "Same", isAuthority: true)
        var parties: [TestAuthority.Party] = [try TestAuthority.make(key, issuer: nil)]
        for _ in 0..<18 { parties.append(try TestAuthority.make(key, issuer: parties[parties.count - 1])) }
        let server = try TestAuthority.make(.init(commonName: "s", names: ["mx.kartapuce.test"]), issuer: parties[18])
        let foreign = try TestAuthority()
        let evaluation = try verify([try foreign.root.record(2, 0, 1)], [try server.octets] + parties.map { try $0.octets })
        #expect(evaluation.result == .fail)
        #expect(evaluation.problems.allSatisfy { $0.code == .tooMuchWork || $0.code == .noMatch })
    }

    /// A certificate with thousands of long names made each reply, notice and journey about it as long.
    @Test func namesOfACertificateDontFloodWhatIsToldOfIt() throws {
        let names = (0..<300).map { "\($0)-\(String(repeating: "x", count: 2000)).attacker.test" }
        let authority = try TestAuthority(server: .init(commonName: String(repeating: "y", count: 5000), names: names))
        let evaluation = try verify([try authority.issuer.record(2, 0, 1)], try authority.chain)
        #expect(evaluation.resultType == .certificateHostMismatch)
        #expect(evaluation.reason.unicodeScalars.count <= 501 && evaluation.reason.contains("not for mx.kartapuce.test"), "\(evaluation.reason)")
        let summary = PeerCertificate(octets: try authority.server.octets).summary
        #expect(summary.names.count == 100 && summary.names.allSatisfy { $0.unicodeScalars.count <= 256 })
        #expect((summary.subject?.unicodeScalars.count ?? 0) <= 256)
    }
}
