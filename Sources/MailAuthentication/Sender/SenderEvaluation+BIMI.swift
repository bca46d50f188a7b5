import DNS

extension SenderEvaluation {
    /// What BIMI needs to know of the message; `nil` where it has no single author.
    /// - Parameters:
    ///   - selector: the values of the message's BIMI-Selector fields are chosen from by ``BIMISelector/choose(fieldValues:isSigned:)``.
    public func bimiSubject(selector: BIMISelector = .default) -> BIMIEvaluator.Subject? {
        guard let author = dmarc.author?.domain else { return nil }
        func request(_ policy: DMARCPolicy) -> BIMIPrecondition.Request {
            switch policy {
            case .none: .none
            case .quarantine: .quarantine
            case .reject: .reject
            }
        }
        let policy = dmarc.record.map {
            BIMIPrecondition.Policy(domain: request($0.policy), subdomains: $0.subdomainPolicy.map(request), isTesting: $0.isTesting)
        }
        return BIMIEvaluator.Subject(
            authorDomain: author, organizationalDomain: dmarc.authorOrganizationalDomain ?? dmarc.recordDomain ?? author, selector: selector,
            precondition: BIMIPrecondition(isAuthenticated: dmarc.result == .pass, authorPolicy: policy))
    }
}
