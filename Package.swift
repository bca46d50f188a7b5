// swift-tools-version: 6.3
import PackageDescription

/// The settings of every target of the house.
let house: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")
let x509 = Target.Dependency.product(name: "X509", package: "swift-certificates")
let asn1 = Target.Dependency.product(name: "SwiftASN1", package: "swift-asn1")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let sqlite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdTesting = Target.Dependency.product(name: "HummingbirdTesting", package: "hummingbird")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "postern",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "postern", targets: ["postern"]),
        .library(name: "MailMessage", targets: ["MailMessage"]),
        .library(name: "DNS", targets: ["DNS"]),
        .library(name: "SASL", targets: ["SASL"]),
        .library(name: "MailAuthentication", targets: ["MailAuthentication"]),
        .library(name: "TransportSecurity", targets: ["TransportSecurity"]),
        .library(name: "Milter", targets: ["Milter"]),
        .library(name: "SMTP", targets: ["SMTP"]),
        .library(name: "IMAP", targets: ["IMAP"]),
        .library(name: "DNSUpdate", targets: ["DNSUpdate"]),
        .library(name: "ACME", targets: ["ACME"]),
        .library(name: "Posture", targets: ["Posture"]),
        .library(name: "MailStore", targets: ["MailStore"]),
        .library(name: "CAllocator", targets: ["CAllocator"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-certificates.git", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-asn1.git", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0", traits: []),
        // No configuration readers and no full Foundation: the portal takes its settings from `postern.yaml`.
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1", traits: []),
    ],
    targets: [
        // Level 0
        .target(name: "MailMessage", dependencies: [nioCore]),
        .target(name: "PosternMetrics"),
        .systemLibrary(name: "CLibIDN2", pkgConfig: "libidn2", providers: [.apt(["libidn2-dev"])]),
        .target(name: "DNS", dependencies: ["CLibIDN2"]),
        .target(name: "SASL", dependencies: [crypto, cryptoExtras]),
        // Level 1
        .systemLibrary(name: "CUnbound", pkgConfig: "libunbound", providers: [.apt(["libunbound-dev"])]),
        .target(name: "UnboundDNS", dependencies: ["DNS", "PosternMetrics", "CUnbound", logging]),
        .target(name: "SMTP", dependencies: ["MailMessage", "DNS", "SASL", nioCore]),
        .target(name: "IMAP", dependencies: ["MailMessage", "SASL", nioCore]),
        .target(name: "Milter", dependencies: ["MailMessage", "DNS", nioCore]),
        .target(name: "MailStore", dependencies: ["MailMessage", "PosternMetrics", "SASL", crypto, grdb, sqlite, nioCore, nioPosix, logging]),
        .systemLibrary(name: "CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "MailAuthentication", dependencies: ["MailMessage", "DNS", "CExpat", "CZlib", crypto, cryptoExtras, x509, asn1, nioCore]),
        .target(name: "TransportSecurity", dependencies: ["MailMessage", "DNS", crypto, cryptoExtras, x509, asn1, nioCore]),
        .target(name: "DNSUpdate", dependencies: ["DNS", crypto]),
        .target(name: "ACME", dependencies: ["DNS", crypto, x509, asn1]),
        // Level 2
        .target(name: "Journeys", dependencies: ["MailMessage", "DNS", "SMTP"]),
        .target(name: "Posture", dependencies: ["MailMessage", "DNS", "MailAuthentication", "TransportSecurity", "ACME", cryptoExtras, x509, asn1]),
        .target(
            name: "MailTransport",
            dependencies: [
                "MailMessage", "PosternMetrics", "DNS", "SMTP", "IMAP", "Milter", "SASL", "TransportSecurity", nioCore, nioPosix, nioTLS, nioHTTP1, nioSSL,
                crypto,
                x509, asn1, logging,
            ]
        ),
        // Level 3
        .target(
            name: "Gateway",
            dependencies: [
                "MailMessage", "PosternMetrics", "DNS", "SASL", "UnboundDNS", "MailAuthentication", "TransportSecurity", "SMTP", "IMAP", "Milter", "MailStore",
                "Journeys", "MailTransport", "ACME", "DNSUpdate", "Posture", nioCore, nioPosix, nioHTTP1, nioSSL, crypto, x509, asn1, yams, logging, lifecycle,
                unixSignals,
                nioTLS,
            ]
        ),
        // Level 4
        .target(
            name: "Portal",
            dependencies: [
                "MailMessage", "DNS", "SMTP", "IMAP", "SASL", "MailAuthentication", "MailTransport", "Gateway", nioCore, nioPosix, nioSSL, crypto, logging,
                lifecycle,
                unixSignals, hummingbird, httpTypes,
            ]
        ),
        .target(
            name: "Lab",
            dependencies: [
                "MailMessage", "DNS", "TransportSecurity", "Gateway", "Journeys", "IMAP", "SMTP", "MailTransport", nioCore, nioPosix, nioSSL, logging,
            ]
        ),
        .target(name: "CAllocator", linkerSettings: [.linkedLibrary("jemalloc")]),
        // Level 5
        .executableTarget(
            name: "postern",
            dependencies: [
                "MailMessage", "DNS", "UnboundDNS", "MailAuthentication", "TransportSecurity", "MailStore", "SASL", "Journeys", "Gateway", "Portal", "Lab",
                "Posture", "CAllocator", nioCore, arguments, logging, lifecycle,
            ]
        ),
        // Tests
        .target(name: "MailTesting", dependencies: ["MailMessage", "DNS", "Milter", nioCore, nioPosix, nioSSL, crypto, x509, asn1], path: "Tests/MailTesting"),
        .testTarget(name: "MailMessageTests", dependencies: ["MailMessage", "MailTesting", nioCore]),
        .testTarget(name: "DNSTests", dependencies: ["DNS", "UnboundDNS", "MailTesting"]),
        .testTarget(name: "UnboundDNSTests", dependencies: ["UnboundDNS", "DNS", "Lab", nioCore, nioPosix]),
        .testTarget(name: "SASLTests", dependencies: ["SASL", crypto]),
        .testTarget(
            name: "MailAuthenticationTests", dependencies: ["MailAuthentication", "MailMessage", "DNS", crypto, cryptoExtras, x509, asn1, nioCore, yams]),
        .testTarget(name: "TransportSecurityTests", dependencies: ["TransportSecurity", "MailMessage", "DNS", crypto, x509, asn1, nioCore]),
        .testTarget(name: "SMTPTests", dependencies: ["SMTP", "MailMessage", "DNS", "SASL", "MailTesting", nioCore]),
        .testTarget(name: "IMAPTests", dependencies: ["IMAP", "MailMessage", "SASL", "MailTesting", nioCore]),
        .testTarget(name: "DNSUpdateTests", dependencies: ["DNSUpdate", "DNS"]),
        .testTarget(name: "ACMETests", dependencies: ["ACME", "DNS", crypto, x509, asn1]),
        .testTarget(name: "PostureTests", dependencies: ["Posture", "DNS", "MailAuthentication", "TransportSecurity", crypto, x509, asn1]),
        .testTarget(name: "MilterTests", dependencies: ["Milter", "MailMessage", "DNS", nioCore]),
        .testTarget(name: "MailStoreTests", dependencies: ["MailStore", "MailMessage", "SASL", "MailTesting", grdb, nioCore]),
        .testTarget(name: "JourneysTests", dependencies: ["Journeys", "DNS", "SMTP", "MailMessage", "MailTesting"]),
        .testTarget(
            name: "MailTransportTests",
            dependencies: [
                "MailTransport", "MailMessage", "DNS", "SMTP", "IMAP", "Milter", "SASL", "MailTesting", nioCore, nioPosix, nioEmbedded, nioHTTP1,
                nioSSL, x509, asn1, crypto, logging,
            ]
        ),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "Gateway", "ACME", "MailAuthentication", "TransportSecurity", "MailMessage", "Milter", "PosternMetrics", "DNS", "SMTP", "IMAP", "SASL",
                "UnboundDNS", "Posture", "DNSUpdate", "MailStore",
                "MailTransport",
                "Journeys",
                "MailTesting", nioCore,
                nioPosix, nioSSL, logging, crypto, x509, asn1, lifecycle,
            ]
        ),
        .testTarget(
            name: "PortalTests",
            dependencies: [
                "Portal", "Gateway", "MailMessage", "MailStore", "MailTransport", "IMAP", "SMTP", "SASL", "DNS", "MailTesting", nioCore, nioPosix,
                nioSSL, crypto, logging, hummingbird, hummingbirdTesting, httpTypes,
            ]
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["Gateway", "MailMessage", "DNS", "SMTP", "MailStore", "MailTransport", nioCore, logging]
        ),
        .testTarget(
            name: "FaultTests",
            dependencies: [
                "Lab", "MailTesting", "MailMessage", "MailStore", "Journeys", "SASL", "DNS", "SMTP", nioCore, nioPosix, nioSSL,
            ]
        ),
        .testTarget(
            name: "LabTests",
            dependencies: [
                "Lab", "Gateway", "ACME", "MailAuthentication", "Milter", "MailTransport", "MailTesting", "MailMessage", "DNS", nioCore, nioPosix, logging,
                crypto, x509,
            ]),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets where target.type != .system {
    target.swiftSettings = (target.swiftSettings ?? []) + house
}
