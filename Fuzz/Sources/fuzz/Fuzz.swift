import CLibFuzzer

#if canImport(Glibc)
import Glibc
#endif

/// What libFuzzer is given: a name, and what is done with each input. A property that doesn't hold stops the process by ``require``.
struct FuzzTarget: Sendable {
    let name: String
    let run: @Sendable ([UInt8]) -> Void
}

/// One executable for all targets:
///
///     fuzz --target=NAME [options of libFuzzer] [corpus folder or files]
///     fuzz --target=NAME --lengths=FILE   long repetitions of a dictionary's words: finds what takes more than linear time
///     fuzz --list                         the names
///
/// libFuzzer passes over options that begin with two hyphens, and hands them on to the processes that it starts itself.
@main struct Fuzz {
    static let targets: [FuzzTarget] = [
        FuzzTarget(name: "smtp-server", run: { SMTPServerTarget.run($0) }),
        FuzzTarget(name: "smtp-data", run: { SMTPDataTarget.run($0) }),
        FuzzTarget(name: "smtp-client", run: { SMTPClientTarget.run($0) }),
        FuzzTarget(name: "message", run: { MessageTarget.run($0) }),
        FuzzTarget(name: "header", run: { HeaderTarget.run($0) }),
        FuzzTarget(name: "imap-server", run: { IMAPServerTarget.run($0) }),
        FuzzTarget(name: "imap-client", run: { IMAPClientTarget.run($0) }),
        FuzzTarget(name: "dns", run: { DNSTarget.run($0) }),
        FuzzTarget(name: "configuration", run: { ConfigurationTarget.run($0) }),
        FuzzTarget(name: "journey", run: { JourneyTarget.run($0) }),
        FuzzTarget(name: "sasl", run: { SASLTarget.run($0) }),
        FuzzTarget(name: "spf", run: { SPFTarget.run($0) }),
        FuzzTarget(name: "zone", run: { ZoneTarget.run($0) }),
        FuzzTarget(name: "dkim", run: { DKIMTarget.run($0) }),
        FuzzTarget(name: "arc", run: { ARCTarget.run($0) }),
        FuzzTarget(name: "dmarc", run: { DMARCTarget.run($0) }),
        FuzzTarget(name: "auth-results", run: { AuthenticationResultsTarget.run($0) }),
        FuzzTarget(name: "reports", run: { ReportsTarget.run($0) }),
        FuzzTarget(name: "bimi", run: { BIMITarget.run($0) }),
        FuzzTarget(name: "dns-update", run: { DNSUpdateTarget.run($0) }),
        FuzzTarget(name: "tls-hello", run: { TLSHelloTarget.run($0) }),
        FuzzTarget(name: "milter", run: { MilterTarget.run($0) }),
        FuzzTarget(name: "tlsa", run: { TLSATarget.run($0) }),
        FuzzTarget(name: "dane", run: { DANETarget.run($0) }),
        FuzzTarget(name: "mta-sts", run: { MTASTSTarget.run($0) }),
        FuzzTarget(name: "tlsrpt", run: { TLSRPTTarget.run($0) }),
    ]

    /// Written once, before the first input.
    nonisolated(unsafe) private static var chosen = targets[0]

    static func main() {
        let arguments = CommandLine.arguments
        if arguments.contains("--list") {
            for target in targets { print(target.name) }
            return
        }
        guard let name = option("target", arguments), let target = targets.first(where: { $0.name == name }) else {
            print("usage: fuzz --target=NAME [options of libFuzzer] [corpus]; names: \(targets.map(\.name).joined(separator: ", "))")
            exit(64)
        }
        unsafe chosen = target
        if let dictionary = option("lengths", arguments) {
            guard let words = FuzzDictionary(file: dictionary) else {
                print("fuzz: \(dictionary) can't be read")
                exit(66)
            }
            exit(LongInputs(target: target, dictionary: words).measure() ? 0 : 1)
        }
        var count = CommandLine.argc
        var raw: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
        exit(unsafe LLVMFuzzerRunDriver(&count, &raw, { octets, length in unsafe Fuzz.run(octets, length) }))
    }

    private static func run(_ octets: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
        unsafe chosen.run(Array(UnsafeBufferPointer(start: octets, count: count)))
        return 0
    }

    private static func option(_ name: String, _ arguments: [String]) -> String? {
        arguments.first { $0.hasPrefix("--\(name)=") }.map { String($0.dropFirst(name.count + 3)) }
    }
}

/// Stops the process where a property doesn't hold; libFuzzer keeps the input.
func require(_ isTrue: Bool, _ property: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line) {
    guard !isTrue else { return }
    fatalError("property broken: \(property())", file: file, line: line)
}
