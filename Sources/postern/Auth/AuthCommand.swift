import ArgumentParser
import DNS
import FoundationEssentials
import Gateway
import Journeys
import MailAuthentication
import MailMessage
import NIOCore
import UnboundDNS

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// `postern auth`.
struct AuthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "auth", abstract: "Find out who sent a message: SPF, DKIM, DMARC, ARC, BIMI; sign and seal; judge records.",
        discussion: """
            With --zone all questions to the DNS are answered from a master file (RFC 1035 §5.1, absolute names): a name that isn't in it doesn't \
            exist, and comment lines “;!SERVFAIL name. TYPE” and “;!TIMEOUT name. TYPE” (TYPE * for all) make a name fail. With --at the clock \
            stands still. The exit code is 0 for a verdict or an accepted input, 1 for a refused one, 64 and up for wrong use.
            """,
        subcommands: [
            AuthCheckCommand.self, AuthSPFCommand.self, AuthDKIMCommand.self, AuthDMARCCommand.self, AuthARCCommand.self, AuthBIMICommand.self,
            AuthDANECommand.self, AuthRecordCommand.self,
            AuthDKIMSignCommand.self, AuthARCSealCommand.self,
        ])
}

/// Where names are looked up, and when.
struct AuthSources: ParsableArguments {
    @Option(help: ArgumentHelp("Answer every question from this master file.", valueName: "file"), completion: .file())
    var zone: String?
    @Option(help: ArgumentHelp("The time of the check, as RFC 3339 writes it; now if absent.", valueName: "time"), transform: Self.time)
    var at: Date?
    @Option(help: ArgumentHelp("Our own name, as in Authentication-Results.", valueName: "name"))
    var authservID = "localhost"

    @Sendable static func time(_ text: String) throws -> Date {
        guard let date = JourneyTime.parse(text) else { throw ValidationError("“\(text)” is no time; write 2026-11-23T21:13:05Z") }
        return date
    }

    var time: Date { at ?? Date() }

    func resolver() throws -> any Resolver {
        guard let zone else { return try UnboundResolver(configuration: .init(Configuration.ResolverSettings())) }
        return try InputFile.zone(zone)
    }
}

/// As read(2) says it.
private func readStandardInput(into piece: inout [UInt8]) -> Int {
    // The call writes into the room of the piece, and no pointer is kept after.
    unsafe piece.withUnsafeMutableBytes { unsafe read(STDIN_FILENO, $0.baseAddress, $0.count) }
}

/// Files that commands read.
enum InputFile {
    /// The largest that is read.
    static let limit = 256 << 20

    /// The octets of a file, or of standard input for `-`.
    static func read(_ path: String) throws -> [UInt8] {
        if path == "-" { return try standardInput() }
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: path))
        } catch {
            let isThere = FileManager.default.fileExists(atPath: path)
            throw CommandFailure(.notFound, "\(path) " + (isThere ? "can't be read: give a file that you may read" : "isn't there: give the path of a file"))
        }
        guard data.count <= limit else { throw CommandFailure(.badData, "\(path) is larger than 256 MiB") }
        return Array(data)
    }

    /// Standard input up to its end. As a file it could be read only where it is one: a pipe has no size.
    private static func standardInput() throws -> [UInt8] {
        var octets: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = readStandardInput(into: &piece)
            if count == 0 { return octets }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw CommandFailure(.notFound, "standard input can't be read")
            }
            octets += piece[..<count]
            guard octets.count <= limit else { throw CommandFailure(.badData, "standard input is larger than 256 MiB") }
        }
    }

    /// A master file as a resolver.
    static func zone(_ path: String) throws -> any Resolver {
        do {
            return try ZoneFile.resolver(parsing: String(decoding: read(path), as: UTF8.self))
        } catch let error as ZoneFileError {
            throw CommandFailure(.badData, "\(path): \(error)")
        }
    }

    /// A message. Where all of its lines end with LF alone, as files on disk do, they get the CRLF that they had on their way.
    static func message(_ path: String) throws -> BufferedContent {
        let octets = try read(path)
        guard !zip(octets, octets.dropFirst()).contains(where: { $0 == 0x0D && $1 == 0x0A }) else { return BufferedContent(ByteBuffer(bytes: octets)) }
        var buffer = ByteBuffer()
        buffer.reserveCapacity(octets.count + octets.count / 32)
        for octet in octets {
            if octet == 0x0A { buffer.writeInteger(UInt8(0x0D)) }
            buffer.writeInteger(octet)
        }
        return BufferedContent(buffer)
    }
}

/// Who handed the message in.
struct AuthClientOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The client's address.", valueName: "address"), transform: Self.address)
    var ip: IPAddress?
    @Option(help: ArgumentHelp("What the client said in HELO or EHLO.", valueName: "name"))
    var helo = ""
    @Option(help: ArgumentHelp("The reverse-path, without its brackets; empty for the null one.", valueName: "address"))
    var mailFrom = ""

    @Sendable private static func address(_ text: String) throws -> IPAddress {
        guard let address = IPAddress(text) else { throw ValidationError("“\(text)” is no IP address") }
        return address
    }

    var client: SenderClient? {
        var from = mailFrom
        if from.hasPrefix("<"), from.hasSuffix(">") { from = String(from.dropFirst().dropLast()) }
        return ip.map { SenderClient(address: $0, helo: helo, mailFrom: from) }
    }
}
