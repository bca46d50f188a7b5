@testable import FuzzedConfiguration

/// A `postern.yaml`: a configuration, or at least one error that says where.
enum ConfigurationTarget {
    static func run(_ data: [UInt8]) {
        let yaml = String(decoding: Input(data).octets, as: UTF8.self)
        let report = Configuration.examine(yaml: yaml, folder: "/etc/postern", checkingFiles: false)
        let errors = report.problems.filter { $0.severity == .error }
        require((report.configuration == nil) == !errors.isEmpty, "\(errors.count) errors, and a configuration: \(report.configuration != nil)")
        for problem in report.problems { require(!problem.description.isEmpty, "a problem without words") }
        guard let configuration = report.configuration else { return }
        require(!configuration.hostname.isEmpty && !configuration.domains.isEmpty, "a configuration without a name")
        for listener in configuration.listeners { require((0...65_535).contains(listener.port), "port \(listener.port)") }
    }
}
