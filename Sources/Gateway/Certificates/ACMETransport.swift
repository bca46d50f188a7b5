import ACME

/// Carries requests to a certificate authority. One that fails says why, for an operator.
protocol ACMETransport: Sendable {
    /// Sends a request and waits for its answer.
    func send(_ request: ACMERequest) async throws(ACMETransportFailure) -> ACMEResponse
}

/// Why there is no answer.
struct ACMETransportFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
