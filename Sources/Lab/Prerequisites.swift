import Foundation

/// What the laboratory needs of the machine, checked before anything is started.
struct Prerequisites: Sendable {
    let plan: AddressPlan

    private static let programs = [
        "nsd", "unbound", "ldns-keygen", "ldns-signzone", "dig", "postfix", "unshare", "openssl", "curl", "python3", "chown", "id",
    ]

    /// - Throws: ``LabError`` that names everything that is missing.
    func check() async throws {
        let programs = Self.programs + (plan.namespaces == nil ? [] : NamespaceWorld.programs)
        let missing = programs.filter { Command.find($0) == nil }
        guard missing.isEmpty else {
            throw LabError(
                .missingPrerequisite,
                "not installed: \(missing.joined(separator: ", ")); scripts/install-dependencies.sh installs them"
            )
        }
        guard geteuid() == 0 else {
            throw LabError(
                .missingPrerequisite,
                "the laboratory needs root: it binds the real ports (25, 53, 465, 993) and gives Postfix a resolv.conf of its own; try sudo"
            )
        }
        guard plan.namespaces == nil else { return }
        for (address, port) in [
            (plan.nsresolve, 53), (plan.provider, 25), (plan.policyHost, 443), (plan.revocationHost, 80), (plan.mail, 25), (plan.imap, 993),
        ]
        where await Waiting.accepts(address: address, port: port) {
            throw LabError(
                .missingPrerequisite,
                "something answers at \(address):\(port) already; is another laboratory running? Choose another network: postern lab run --network 78"
            )
        }
    }
}
