// swift-tools-version: 6.3
import PackageDescription

// The fuzz targets, a package of their own so that a plain build of Postern stays plain. `make fuzz` builds it with the sanitizers;
// without `-sanitize=fuzzer,address` it doesn't link. Documentation/fuzzing.md says how it is used.

/// The settings of every target of the house.
let house: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func postern(_ product: String) -> Target.Dependency { .product(name: product, package: "postern") }
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")

let package = Package(
    name: "fuzz",
    dependencies: [
        .package(name: "postern", path: ".."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
    ],
    targets: [
        .systemLibrary(name: "CLibFuzzer"),
        // Three folders of Postern's by symbolic link: through its targets each would bring the server with its sockets, TLS and database,
        // and the build would take ten times as long.
        .target(name: "FuzzedAnswers", dependencies: [postern("DNS")], swiftSettings: house),
        .target(
            name: "FuzzedConfiguration",
            dependencies: [
                postern("DNS"), postern("ACME"), postern("MailAuthentication"), postern("TransportSecurity"), .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: house
        ),
        .target(name: "FuzzedJourneys", dependencies: [postern("MailMessage"), postern("DNS"), postern("SMTP")], swiftSettings: house),
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "CLibFuzzer", "FuzzedAnswers", "FuzzedConfiguration", "FuzzedJourneys", postern("MailMessage"), postern("SMTP"),
                postern("IMAP"), postern("DNS"), postern("SASL"), postern("MailAuthentication"), postern("TransportSecurity"), postern("Milter"),
                postern("DNSUpdate"), nioCore,
            ],
            swiftSettings: house
        ),
    ],
    swiftLanguageModes: [.v6]
)
