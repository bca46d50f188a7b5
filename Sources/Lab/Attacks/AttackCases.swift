extension AttackCase {
    /// All that are played.
    public static let all: [AttackCase] = {
        let noTLS = Expectation.held(status: "4.7.10")
        let noProof = Expectation.held(status: "4.7.5")
        let (dane, sts, local) = ("(dane)", "(mta-sts)", "(local)")
        let (stripped, refused, injected) = ("offers no STARTTLS", "STARTTLS was refused", "somebody injects")
        let (otherKey, untrusted, outOfDate, otherName) = (
            "no record matches the server's certificate", "no path leads to a trust anchor", "has expired at", "the certificate is for"
        )
        let (notFetched, unverified) = ("the last fetch failed", "no trusted root vouches")
        let open: [(Means, Expectation, [String], Int)] = [(.opportunistic, .read, ["the host isn't proven"], 0)]
        let clear: [(Means, Expectation, [String], Int)] = [(.opportunistic, .read, ["NOT ENCRYPTED"], 0)]
        let first: [(Means, Expectation, [String], Int)] = [(.mtaSTSAtFirst, .read, [notFetched, "the host isn't proven"], 0)]
        func withoutTLS(_ saying: String) -> [(Means, Expectation, [String], Int)] {
            clear + [
                (.dane, noTLS, [dane, saying], 0), (.mtaSTS, noTLS, [sts, saying], 0), (.minimum, noTLS, [local, saying], 0),
                (.memory, noTLS, ["downgrade.suspected", saying], 2),
            ]
        }

        let table: [(Attack, [(Means, Expectation, [String], Int)])] = [
            (.starttlsStripped, withoutTLS(stripped)),
            (.starttlsRefused, withoutTLS(refused)),
            (.handshakeBroken, withoutTLS("TLS failed")),
            // Whoever injects is noticed, whatever is known of the domain.
            (
                .responseInjected,
                [
                    (.opportunistic, .held(status: "4.7.0"), ["not sent now: TLS failed", injected], 0), (.dane, noTLS, [dane, injected], 0),
                    (.mtaSTS, noTLS, [sts, injected], 0),
                ]
            ),
            (
                .selfSigned,
                open + [
                    (.dane, noProof, [dane, otherKey], 0), (.mtaSTS, noProof, [sts, untrusted], 0), (.minimum, noProof, [local, untrusted], 0),
                ]
            ),
            (.expired, open + [(.dane, noProof, [dane, otherKey], 0), (.mtaSTS, noProof, [sts, outOfDate], 0)]),
            (.otherName, open + [(.dane, noProof, [dane, otherKey], 0), (.mtaSTS, noProof, [sts, otherName], 0)]),
            (
                .exchangerChanged,
                open + [
                    (.dane, .held(status: "4.4.3"), ["BOGUS, not used"], 0), (.mtaSTS, noProof, ["none of its patterns means"], 0),
                    (.minimum, noProof, [local, otherName], 0),
                ]
            ),
            (.zoneTampered, open + [(.dane, .held(status: "4.4.3"), ["BOGUS, not used"], 0)]),
            (.tlsaRemoved, open + [(.dane, noProof, ["TLSA: bogus"], 0)]),
            (.tlsaBlocked, open + [(.dane, noProof, ["TLSA: serverFailure"], 0)]),
            (
                .recordRemoved,
                open + [
                    (.mtaSTS, noProof, [sts, untrusted, "TXT = no such records"], 1),
                    (.mtaSTSAtFirst, .read, ["TXT = no such records", "the host isn't proven"], 0),
                ]
            ),
            (.policyHostDown, open + [(.mtaSTS, noProof, [sts, untrusted, notFetched, "443: refused"], 1)] + first),
            (.policyHostForged, open + [(.mtaSTS, noProof, [sts, untrusted, notFetched, unverified], 1)] + first),
            (.policyShrunk, open + [(.mtaSTS, noProof, [sts, untrusted, "mta-sts: enforce — the edition that is known is current"], 1)]),
            (.policyReplayed, open + [(.mtaSTS, noProof, [sts, untrusted, notFetched, unverified, "20251101T000000Z"], 1)]),
        ]
        var cases: [AttackCase] = []
        for (attack, rows) in table {
            for (means, expectation, sayings, warmUps) in rows {
                cases.append(
                    AttackCase(
                        attack: attack, means: means, expectation: expectation, sayings: sayings, warmUps: warmUps, number: cases.count + 1))
            }
        }
        return cases
    }()

    /// Those that a name means: an attack's name, or one with its means (`expired`, `expired/dane`).
    public static func named(_ name: String) -> [AttackCase] { all.filter { $0.name == name || $0.attack.rawValue == name } }

    /// The few that are played with every run of the tests.
    static var selection: [AttackCase] {
        ["starttls-stripped/none", "starttls-stripped/dane", "starttls-stripped/memory", "expired/mta-sts", "exchanger-changed/mta-sts", "tlsa-removed/dane"]
            .flatMap(named)
    }
}
