import MailMessage
import NIOCore

@testable import MailAuthentication

/// ARC: the chain of a message with the key record that stands before it, and our own set on top of it. The input is a key record, a line
/// `====`, and a message.
enum ARCTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let (record, message) = input.halves
        fields(message)
        let resolver = DKIMTarget.resolver(record)
        let evaluation = evaluate(message, resolver, everything: input.has(0))
        check(evaluation)
        // What doesn't matter for the verdict doesn't change it.
        let other = evaluate(message, resolver, everything: !input.has(0))
        require(other.result == evaluation.result, "\(evaluation.result), and \(other.result) where everything is evaluated")
        seal(message, evaluation, resolver)
    }

    private static func fields(_ octets: [UInt8]) {
        if let seal = try? ARCSealHeader(parsing: octets) {
            require((1...ARCExamination.instanceLimit).contains(seal.instance), "the instance \(seal.instance)")
            require(DKIMBase64.decode(octets[seal.signatureRange]) == seal.signature, "another signature lies in its place")
        }
        if let signature = try? ARCMessageSignatureHeader(parsing: octets) {
            require((1...ARCExamination.instanceLimit).contains(signature.instance), "the instance \(signature.instance)")
        }
        if let results = try? ARCAuthenticationResults(parsing: octets) {
            require((1...ARCExamination.instanceLimit).contains(results.instance), "the instance \(results.instance)")
        }
    }

    private static func check(_ evaluation: ARCEvaluation) {
        require(evaluation.instances.count <= ARCExamination.instanceLimit, "\(evaluation.instances.count) sets")
        require(evaluation.instances.map(\.instance) == evaluation.instances.indices.map { $0 + 1 }, "sets in another order")
        switch evaluation.result {
        case .none: require(evaluation.instances.isEmpty && evaluation.failure == nil, "sets of no chain")
        case .fail: require(evaluation.failure != nil && !evaluation.reason.isEmpty, "a chain fails without a reason")
        case .pass:
            require(evaluation.failure == nil, "pass with a failure")
            require(!evaluation.instances.isEmpty && evaluation.instances.allSatisfy { $0.seal?.isValid == true }, "pass with a seal that isn't valid")
            require(evaluation.instances.last?.messageSignature?.result == .pass, "pass without the last signature")
        }
    }

    private static func evaluate(_ octets: [UInt8], _ resolver: OneRecordResolver, everything: Bool) -> ARCEvaluation {
        let message = ByteBuffer(bytes: octets)
        return CallingThread.run {
            let header = HeaderSection(parsing: message)
            return await ARCVerifier(resolver: resolver, evaluatesEverything: everything).verify(
                header: header, body: message.behind(header), at: fuzzedTime)
        }
    }

    /// A chain that passes goes on passing with our set on top; one that failed goes on failing.
    private static func seal(_ octets: [UInt8], _ before: ARCEvaluation, _ resolver: OneRecordResolver) {
        guard let key = DKIMTarget.signingKey else { return require(false, "the key can't be read") }
        let message = ByteBuffer(bytes: octets)
        let header = HeaderSection(parsing: message)
        // Fields that are put in front of a fold would take it in.
        guard let first = octets.first, first != 0x20, first != 0x09 else { return }
        guard
            let fields = try? ARCSealer(key: key).seal(
                header: header, body: message.behind(header), chain: before.result, results: "mx.kartapuce.test; spf=pass", at: fuzzedTime)
        else { return }
        require(fields.readableBytesView.hasWholeLineEnds, "a bare CR or LF in a set")
        let after = evaluate(Array(fields.readableBytesView) + octets, resolver, everything: false)
        if case .headerOverLimits = after.failure { return }
        switch before.result {
        case .none, .pass:
            require(after.result == .pass, "our own set doesn't pass: \(after.reason)")
            require(after.instances.count == before.instances.count + 1, "\(after.instances.count) sets")
        case .fail: require(after.result == .fail, "a broken chain passes again")
        }
    }
}
