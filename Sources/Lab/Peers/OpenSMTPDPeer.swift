/// OpenSMTPD, as Debian has it.
final class OpenSMTPDPeer: MailPeer {
    let files: PeerFolder
    private let layer: PeerLayer
    private let child: ChildProcess

    init(_ files: PeerFolder) async throws {
        self.files = files
        layer = try PeerLayer("opensmtpd")
        let neighbour = files.neighbour
        let addresses = neighbour.domains.flatMap { domain in Neighbour.users.map { "\($0)@\(domain)" } }
        try LabFiles.write(addresses.map { "\($0) nobody\n" }.joined(), to: "\(files.path)/virtuals")
        try LabFiles.write(Self.greylisting(flag: files.greylistingFile), to: "\(files.path)/greylist.sh", permissions: 0o755)
        // It refuses a key that others can read.
        try LabFiles.write(try LabFiles.read(files.certificate.key), to: "\(files.path)/key.pem", permissions: 0o600)
        try LabFiles.write(Self.configuration(files), to: "\(files.path)/smtpd.conf")
        // It logs to standard error, which is the child's log.
        child = try layer.start(
            name: neighbour.name,
            overrides: files.overrides,
            program: "/usr/sbin/smtpd",
            ["-d", "-T", "smtp", "-f", "\(files.path)/smtpd.conf"],
            folder: files.path,
            logFile: files.logFile
        )
        do {
            try await files.waitUntilAnswering(child)
        } catch {
            await child.stop()
            throw error
        }
    }

    func stop() async { await child.stop() }

    /// Nothing to do: what the tests need of its own queue goes at the first attempt.
    func retryQueue() async throws {}

    private static func configuration(_ files: PeerFolder) -> String {
        let neighbour = files.neighbour
        return """
            pki \(neighbour.host) cert "\(files.certificate.certificate)"
            pki \(neighbour.host) key "\(files.path)/key.pem"
            smtp max-message-size 100M
            table virtuals file:\(files.path)/virtuals
            filter greylist proc-exec "\(files.path)/greylist.sh"
            listen on \(neighbour.address) port 25 tls pki \(neighbour.host) hostname \(neighbour.host) filter greylist
            listen on \(neighbour.plainAddress) port 25 hostname \(neighbour.host) filter greylist
            action "local" maildir "\(files.path)/mail/%{dest.user}" virtual <virtuals>
            action "out" relay src \(neighbour.address) helo \(neighbour.host)
            match from any for domain { \(neighbour.domains.map { "\"\($0)\"" }.joined(separator: ", ")) } action "local"
            match from src \(files.plan.providerNetwork) for any action "out"

            """
    }

    /// A filter in the protocol of smtpd-filters(7).
    private static func greylisting(flag: String) -> String {
        #"""
        #!/bin/sh
        while read -r line; do
            [ "$line" = "config|ready" ] && break
        done
        echo "register|filter|smtp-in|rcpt-to"
        echo "register|ready"
        IFS='|'
        while read -r kind version time system phase session token address rest; do
            [ "$kind" = filter ] || continue
            answer=proceed
            case "$address" in
                grey@*) if [ -e "\#(flag)" ]; then answer='reject|451 4.7.1 greylisted, come back later'; fi ;;
            esac
            echo "filter-result|$session|$token|$answer"
        done
        """#
    }
}
