public import DNS
public import FoundationEssentials
import Yams

extension Configuration {
    /// How the edge judges who sent a message (SPF, DKIM, DMARC, ARC), and what follows from it.
    public struct AuthenticationSettings: Sendable, Equatable {
        /// Whether DMARC's policy is followed.
        public enum Mode: String, Sendable, CaseIterable {
            /// It is.
            case enforce
            /// What would have been done is recorded, and nothing follows.
            case observe
            /// Nothing is checked.
            case off
        }
        /// What is done with a message that fails DMARC.
        public enum Action: String, Sendable, CaseIterable {
            case accept, junk, reject
        }
        /// What is done where DNS didn't answer.
        public enum TemporaryAction: String, Sendable, CaseIterable {
            case accept, `defer`
        }
        /// Why DMARC isn't followed for a domain, and until when: nobody is to find an exception years later that nobody can explain.
        public struct Exception: Sendable, Equatable {
            public var reason: String = ""
            /// The day after which it doesn't hold any more.
            public var until: Date = .distantPast
            /// Whether it holds at a time: to the end of its last day.
            func holds(at time: Date) -> Bool { time < until.addingTimeInterval(86_400) }
        }
        public var mode: Mode = .enforce
        /// How this organisation calls itself in Authentication-Results (RFC 8601 §2.5); `nil`: the host's name.
        public var authservID: DomainName?
        /// What follows where the domain says `reject`.
        public var reject: Action = .reject
        /// What follows where the domain says `quarantine`.
        public var quarantine: Action = .junk
        public var temporaryErrors: TemporaryAction = .accept
        /// Domains that seal with ARC and whose word about what they received is believed.
        public var trustedForwarders: [DomainName] = []
        /// Domains whose mail is taken although DMARC fails, where SPF or DKIM proves one of these very domains.
        public var allowlist: [DomainName: Exception] = [:]
        /// Another mode for single author domains, with those below them.
        public var domains: [DomainName: Mode] = [:]
        /// Whether indicators of senders are looked for.
        public var bimi: IndicatorSettings = .init()
        /// How long all checks of one message may take.
        public var timeoutSeconds: Int = 20
        public init() {}
    }

    /// How mail to the outside is signed.
    public struct SigningSettings: Sendable, Equatable {
        /// Whether mail of our own domains is signed with DKIM where there is an active key.
        public var enabled: Bool = true
        /// The folder of the keys that `postern dkim generate` makes; `nil`: `dkim` in the data folder.
        public var keyFolder: String?
        /// Whether mail from outside that is sent on to the outside gets an ARC seal.
        public var sealsForwarded: Bool = true
        public init() {}
    }

    /// The folder of the DKIM keys.
    public var dkimFolder: String { signing.keyFolder ?? "\(dataFolder)/dkim" }

    static let authenticationFields: [ConfigurationField<AuthenticationSettings>] = {
        let initial = AuthenticationSettings()
        return [
            .init(
                "mode", \.mode, .word(), in: initial, example: "observe",
                "enforce: DMARC's policy is followed; observe: only recorded; off: SPF, DKIM, DMARC and ARC aren't checked"),
            .init(
                "authservID", \.authservID, ConfigurationValue.domain.optional, in: initial, example: "kartapuce.test",
                "our name in Authentication-Results; none: the host's name"),
            .init("reject", \.reject, .word(), in: initial, example: "junk", "what follows where a domain's DMARC policy says reject"),
            .init("quarantine", \.quarantine, .word(), in: initial, example: "junk", "what follows where a domain's DMARC policy says quarantine"),
            .init(
                "temporaryErrors", \.temporaryErrors, .word(), in: initial, example: "defer",
                "whether a message is taken or deferred where DNS can't tell what DMARC says"),
            .init(
                "trustedForwarders", \.trustedForwarders, ConfigurationValue.domain.list(), in: initial, example: "[lists.gmail.test]",
                "domains that seal with ARC, and are believed about what they received"),
            .init(
                "allowlist", type: "mapping of domains", defaultValue: "none",
                example: "{partner.test: {reason: their list changes the subject, until: 2027-03-31}}",
                children: ConfigurationField.flatten(exceptionFields, below: "allowlist.<domain>"),
                "domains whose mail is taken although DMARC fails, where SPF or DKIM proves them"
            ) { target, node, reader in
                guard case .mapping(let mapping) = node else {
                    return reader.reportError(at: node, "must be a mapping of domains: write “partner.test:” with reason and until below it")
                }
                for (key, value) in mapping {
                    let text = key.scalar?.string ?? ""
                    guard let name = try? DomainName(text) else {
                        reader.reportError(at: key, "“\(text)” is no domain")
                        continue
                    }
                    target.allowlist[name] = reader.within(text, at: key) { reader in
                        var exception = AuthenticationSettings.Exception()
                        reader.readMapping(value, exceptionFields, into: &exception)
                        return exception
                    }
                }
            },
            .init(
                "domains", type: "mapping of domains", defaultValue: "none", example: "{gmail.test: observe}", children: [],
                "another mode for the mail of single author domains and those below them"
            ) { target, node, reader in
                guard case .mapping(let mapping) = node else {
                    return reader.reportError(at: node, "must be a mapping of domains: write “gmail.test: observe”")
                }
                for (key, value) in mapping {
                    let text = key.scalar?.string ?? ""
                    guard let name = try? DomainName(text) else {
                        reader.reportError(at: key, "“\(text)” is no domain")
                        continue
                    }
                    let word = ConfigurationValue<AuthenticationSettings.Mode>.word()
                    if let mode = reader.within(text, at: key, { reader in word.read(value, &reader) }) { target.domains[name] = mode }
                }
            },
            .init("bimi", \.bimi, fields: indicatorFields, "whether senders' indicators are shown, and whose"),
            .init(
                "timeoutSeconds", \.timeoutSeconds, .duration(unit: 1000, 1...120), in: initial, example: "20s",
                "how long the checks of a message may take in all"),
        ]
    }()

    private static let exceptionFields: [ConfigurationField<AuthenticationSettings.Exception>] = {
        let initial = AuthenticationSettings.Exception()
        return [
            .init("reason", \.reason, .words, in: initial, required: true, example: "their list changes the subject", "why, for those who come after"),
            .init("until", \.until, .day, in: initial, required: true, example: "2027-03-31", "the last day on which it holds"),
        ]
    }()

    static let signingFields: [ConfigurationField<SigningSettings>] = {
        let initial = SigningSettings()
        return [
            .init(
                "enabled", \.enabled, .flag, in: initial, example: "true",
                "whether role relay, or postern milter, signs mail of our domains with DKIM, where postern dkim generate has made keys"),
            .init(
                "keyFolder", \.keyFolder, ConfigurationValue.path("folder").optional, in: initial, example: "/etc/postern/dkim",
                "where the keys are; none: dkim in the data folder"),
            .init(
                "sealsForwarded", \.sealsForwarded, .flag, in: initial, example: "true",
                "whether role relay seals mail with ARC that came from outside and goes on to the outside; for postern milter see milter.seals"),
        ]
    }()
}
