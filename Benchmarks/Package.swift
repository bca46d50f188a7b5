// swift-tools-version: 6.3
import PackageDescription

// A package of its own, so that a plain build of Postern stays plain. `make bench` builds it, and `postern` with it, into one folder.

/// The settings of Postern's own targets.
let house: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "postern", path: ".."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
    ],
    targets: [
        // The client that resumes sessions; NIOSSL can't.
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .executableTarget(
            name: "bench",
            dependencies: [
                "COpenSSL",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                // What is measured in this process has the memory that it has in Postern.
                .product(name: "CAllocator", package: "postern"),
                .product(name: "DNS", package: "postern"),
                .product(name: "MailAuthentication", package: "postern"),
                .product(name: "MailMessage", package: "postern"),
                .product(name: "MailStore", package: "postern"),
                .product(name: "SASL", package: "postern"),
                .product(name: "SMTP", package: "postern"),
            ],
            swiftSettings: house
        ),
    ],
    swiftLanguageModes: [.v6]
)
