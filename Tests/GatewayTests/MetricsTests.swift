import DNS
import Foundation
import MailStore
import MailTesting
import MailTransport
import NIOCore
import NIOPosix
import PosternMetrics
import Testing

@testable import Gateway

/// What is counted and measured, what documentation and alerts say of it, and how it is told.
@Suite(.serialized, .timeLimit(.minutes(1))) struct MetricsTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private func words(of file: String, matching pattern: String) throws -> [String] {
        let text = try String(contentsOf: Self.root.appending(path: file), encoding: .utf8)
        let expression = try NSRegularExpression(pattern: pattern)
        return expression.matches(in: text, range: NSRange(text.startIndex..., in: text)).compactMap {
            Range($0.range(at: 1), in: text).map { String(text[$0]) }
        }
    }

    @Test func theCatalogueIsWhatTheDocumentationSays() throws {
        let documented = try words(of: "Documentation/metrics.md", matching: #"(?m)^\| `([a-z_]+)[`{]"#)
        #expect(documented.sorted() == Metrics.all.map(\.name).sorted())
    }

    @Test func namesFollowTheRules() {
        let names = Metrics.all.map(\.name)
        #expect(Set(names).count == names.count)
        for instrument in Metrics.all {
            #expect(instrument.name.wholeMatch(of: /(postern|process)(_[a-z]+)+/) != nil, "\(instrument.name)")
            #expect(instrument.name.hasSuffix("_total") == (instrument.kind == "counter"), "\(instrument.name)")
            #expect(!instrument.help.isEmpty && !instrument.help.contains("\n"))
        }
    }

    @Test func alertsKnowTheirMetrics() throws {
        let names = Set(
            Metrics.all.flatMap { instrument in
                instrument.kind == "histogram" ? ["_bucket", "_sum", "_count"].map { instrument.name + $0 } : [instrument.name]
            })
        let used = try words(of: "deploy/prometheus/postern.rules.yml", matching: #"\b((?:postern|process)_[a-z_]+)\b"#)
        #expect(used.count >= 10)
        for name in used { #expect(names.contains(name), "\(name)") }
    }

    @Test func histogramsAddUp() {
        let before = Metrics.commitJobs.count
        for value in [1.0, 3, 600, -1] { Metrics.commitJobs.observe(value) }
        // Other tests may commit at the same time.
        #expect(Metrics.commitJobs.count >= before + 4)
        var exposition = Exposition()
        exposition.add(Metrics.commitJobs)
        let buckets = exposition.text.split(separator: "\n").filter { $0.contains("_bucket") }.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
        #expect(buckets == buckets.sorted() && buckets.last ?? 0 >= before + 4)
        #expect(exposition.text.contains("postern_store_commit_jobs_bucket{le=\"+Inf\"} "))
        #expect(exposition.text.hasPrefix("# HELP postern_store_commit_jobs "))
    }

    @Test func labelsAreEscaped() {
        var exposition = Exposition()
        exposition.reading(Metrics.build, [([("version", "a\"b\\c\nd")], 1)])
        #expect(exposition.text.hasSuffix("postern_build_info{version=\"a\\\"b\\\\c\\nd\"} 1\n"))
    }

    /// One request by HTTP, as curl makes it.
    private func get(_ path: String, port: Int, method: String = "GET") async throws -> String {
        let client = try await ServerTestClient(port: port)
        try await client.send("\(method) \(path) HTTP/1.1\r\nhost: localhost\r\n\r\n")
        let lines = await client.rest()
        await client.close()
        return lines
    }

    private func withMonitoring(_ house: TestHouse, _ mail: TestHost, isServing: Bool = true, _ body: (Int) async throws -> Void) async throws {
        var settings = Configuration.MonitoringSettings()
        settings.port = 0
        let clock = house.clock
        let server = MonitoringServer(
            readings: HostReadings(host: mail.host, budget: mail.listeners.budget, start: clock.now), settings: settings,
            group: MultiThreadedEventLoopGroup.singleton, isServing: { isServing }, now: { clock.now }, logger: TestHouse.quiet)
        let channel = try await server.bind()
        try await body(try #require(channel.localAddress?.port))
        try await channel.close()
    }

    @Test func countersMoveWithTheMail() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { mail in
                try await mail.addUsers("bob")
                let (accepted, refused, delivered) = (
                    Metrics.transactions.value(.accepted), Metrics.transactions.value(.refused), Metrics.deliveries.value(.delivered)
                )
                let client = try await mail.client()
                #expect(Metrics.openConnections.value(.smtp) >= 1)
                #expect(try await client.send(from: "tom@gmail.test", to: "bob@kartapuce.test", text: TestHost.sample).hasPrefix("250"))
                let loop = String(repeating: "Received: x\r\n", count: 60) + "\r\nx\r\n"
                #expect(try await client.send(from: "tom@gmail.test", to: "bob@kartapuce.test", text: loop).hasPrefix("554"))
                #expect(try await mail.emptied())
                #expect(Metrics.transactions.value(.accepted) > accepted)
                #expect(Metrics.transactions.value(.refused) > refused)
                #expect(Metrics.deliveries.value(.delivered) > delivered)
                try await withMonitoring(house, mail) { port in
                    let text = try await get("/metrics", port: port)
                    #expect(text.hasPrefix("HTTP/1.1 200") && text.contains("text/plain; version=0.0.4"))
                    for instrument in Metrics.all where instrument.name != Metrics.certificateExpiry.name {
                        #expect(text.contains("# TYPE \(instrument.name) \(instrument.kind)\n"), "\(instrument.name)")
                    }
                    #expect(text.contains("postern_certificate_expiry_seconds{certificate=\"public\"} "))
                    // Nobody's address stands there.
                    #expect(!text.contains("@") && !text.contains("gmail.test"))
                    #expect(try await get("/healthz", port: port).hasSuffix("alive\n"))
                    #expect(try await get("/readyz", port: port).hasSuffix("ready\n"))
                    #expect(try await get("/", port: port).hasPrefix("HTTP/1.1 404"))
                    #expect(try await get("/metrics", port: port, method: "POST").hasPrefix("HTTP/1.1 405"))
                }
            }
        }
    }

    @Test func whoCannotStoreIsNotReady() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await withMonitoring(house, mail) { port in
                    mail.host.storage.failed(StoreError(.full, "no space"), doing: "commit")
                    let text = try await get("/readyz", port: port)
                    #expect(text.hasPrefix("HTTP/1.1 503") && text.contains("storage: "))
                    #expect(try await get("/metrics", port: port).contains("postern_storage_alarm 1\n"))
                    #expect(try await get("/healthz", port: port).hasPrefix("HTTP/1.1 200"))
                    mail.host.storage.succeeded()
                    #expect(try await get("/readyz", port: port).hasPrefix("HTTP/1.1 200"))
                }
                try await withMonitoring(house, mail, isServing: false) { port in
                    let text = try await get("/readyz", port: port)
                    #expect(text.contains("listeners: "))
                }
            }
        }
    }
}
