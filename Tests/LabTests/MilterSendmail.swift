import Foundation
import MailTesting

@testable import Lab

/// A Sendmail of its own on loopback, from the layer `sendmail`, with a milter before each of its two ports: no DNS, no TLS, mail into a folder. Its
/// configuration is made by its own m4 files, as an operator's is.
struct MilterSendmail: MilterMTA {
    let ports: [Int]
    private let folder: String
    private let layer: PeerLayer
    private let child: ChildProcess

    static var isInstalled: Bool { geteuid() == 0 && (try? PeerLayer("sendmail")) != nil }

    private static let program = "/usr/libexec/sendmail/sendmail"
    private static let host = "sendmail.kartapuce.test"

    /// Starts it.
    /// - Parameters:
    ///   - milterPort: where the milter listens.
    ///   - milterPath: where it listens too.
    ///   - firstPort: where it listens, where that is known.
    init(milterPort: Int, milterPath: String, firstPort: Int? = nil) async throws {
        folder = try LabFiles.temporaryFolder("sendmail")
        layer = try PeerLayer("sendmail")
        let free = try FreePorts.take(2)
        ports = [firstPort ?? free[0], free[1]]
        // Sendmail wants folders that only root writes to.
        for path in ["queue", "clients", "mail", "mail/new", "mail/tmp", "etc", "etc/sasl2"] { try LabFiles.makeFolder("\(folder)/\(path)") }
        // The local mailer isn't root.
        for path in ["mail/new", "mail/tmp"] {
            try FileManager.default.setAttributes([.posixPermissions: 0o1777], ofItemAtPath: "\(folder)/\(path)")
        }
        try await Command.require("chown", ["nobody:nogroup", "\(folder)/clients"])
        try FileManager.default.setAttributes([.posixPermissions: 0o770], ofItemAtPath: "\(folder)/clients")
        try Self.writeFiles(folder, ports, milterPort: milterPort, milterPath: milterPath)
        let overrides = "\(folder)/etc"
        for name in ["sendmail", "submit"] {
            let m4 = try await layer.run(
                overrides: overrides, program: "/usr/bin/m4",
                ["-D_CF_DIR_=/usr/share/sendmail/cf/", "/usr/share/sendmail/cf/m4/cf.m4", "\(folder)/\(name).mc"])
            guard m4.succeeded else { throw LabError(.processFailed, "m4: \(m4.errors)") }
            try LabFiles.write(m4.outputText, to: "\(folder)/\(name).cf")
        }
        let password = try await layer.run(
            overrides: overrides, program: "/usr/sbin/saslpasswd2", ["-p", "-c", "-f", "\(folder)/sasldb", "-u", Self.host, "jack"],
            input: Data("correct horse".utf8))
        guard password.succeeded else { throw LabError(.processFailed, "saslpasswd2: \(password.errors)") }
        // Sendmail closes what it inherits, by which Foundation tells that a program has ended: it would wait for this one then, and be told of no
        // other one's end. So a shell stands between.
        let script = "trap 'kill $daemon' TERM; \"$@\" & daemon=$!; wait $daemon; wait $daemon"
        child = try layer.start(
            name: "sendmail", overrides: overrides, program: "/bin/sh",
            ["-c", script, "sendmail", Self.program, "-C", "\(folder)/sendmail.cf", "-bD", "-q2s", "-X", "\(folder)/traffic"], folder: folder)
        do {
            for port in ports {
                try await Waiting.until("Sendmail answering", timeout: .seconds(60)) { [child] () -> Bool? in
                    guard child.isRunning else { throw LabError(.processFailed, "Sendmail ended:\n\(child.lastLines())") }
                    return await Waiting.accepts(address: "127.0.0.1", port: port) ? true : nil
                }
            }
        } catch {
            await stop()
            throw error
        }
    }

    private static func writeFiles(_ folder: String, _ ports: [Int], milterPort: Int, milterPath: String) throws {
        // It waits a minute for a name with a dot where its host has none.
        let name = ProcessInfo.processInfo.hostName
        try LabFiles.write("127.0.0.1 localhost\n127.0.1.1 \(host) \(name)\n", to: "\(folder)/etc/hosts")
        try LabFiles.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", to: "\(folder)/etc/resolv.conf")
        try LabFiles.write("hosts: files\npasswd: files\ngroup: files\n", to: "\(folder)/etc/nsswitch.conf")
        try LabFiles.write(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: \(folder)/sasldb\nmech_list: PLAIN\n", to: "\(folder)/etc/sasl2/Sendmail.conf")
        try LabFiles.write("hosts files\naliases files\npasswd files\n", to: "\(folder)/services")
        try LabFiles.write(
            """
            #!/bin/sh
            name=$(date +%s.%N).$$
            cat >"\(folder)/mail/tmp/$name" && mv "\(folder)/mail/tmp/$name" "\(folder)/mail/new/$name"

            """, to: "\(folder)/deliver", permissions: 0o755)
        try LabFiles.write(
            """
            VERSIONID(`a test')dnl
            OSTYPE(`linux')dnl
            define(`confDOMAIN_NAME', `\(host)')dnl
            define(`QUEUE_DIR', `\(folder)/queue')dnl
            define(`STATUS_FILE', `\(folder)/status')dnl
            define(`confPID_FILE', `\(folder)/pid')dnl
            define(`confSERVICE_SWITCH_FILE', `\(folder)/services')dnl
            define(`confDONT_PROBE_INTERFACES', `True')dnl
            define(`confTO_IDENT', `0')dnl
            dnl The folders of tests are below one that everybody may write to.
            define(`confDONT_BLAME_SENDMAIL', `TrustStickyBit')dnl
            define(`confAUTH_MECHANISMS', `PLAIN')dnl
            TRUST_AUTH_MECH(`PLAIN')dnl
            define(`LOCAL_MAILER_PATH', `\(folder)/deliver')dnl
            define(`LOCAL_MAILER_ARGS', `deliver $u')dnl
            MODIFY_MAILER_FLAGS(`LOCAL', `-wAf')dnl
            FEATURE(`no_default_msa')dnl
            FEATURE(`nocanonify')dnl
            FEATURE(`accept_unresolvable_domains')dnl
            DAEMON_OPTIONS(`Name=first, Addr=127.0.0.1, Port=\(ports[0]), InputMailFilters=postern')dnl
            DAEMON_OPTIONS(`Name=second, Addr=127.0.0.1, Port=\(ports[1]), InputMailFilters=local')dnl
            MAIL_FILTER(`postern', `S=inet:\(milterPort)@127.0.0.1, F=T')dnl
            MAIL_FILTER(`local', `S=unix:\(milterPath), F=T')dnl
            LOCAL_DOMAIN(`kartapuce.test')dnl
            MAILER(`local')dnl
            MAILER(`smtp')dnl

            """, to: "\(folder)/sendmail.mc")
        try LabFiles.write(
            """
            VERSIONID(`a test')dnl
            define(`confCF_VERSION', `Submit')dnl
            define(`__OSTYPE__', `')dnl
            define(`confDOMAIN_NAME', `\(host)')dnl
            define(`confRUN_AS_USER', `nobody:nogroup')dnl
            define(`confTRUSTED_USER', `nobody')dnl
            define(`MSP_QUEUE_DIR', `\(folder)/clients')dnl
            define(`STATUS_FILE', `\(folder)/status')dnl
            define(`confPID_FILE', `\(folder)/submit.pid')dnl
            define(`confSERVICE_SWITCH_FILE', `\(folder)/services')dnl
            define(`confDONT_PROBE_INTERFACES', `True')dnl
            define(`confDONT_BLAME_SENDMAIL', `TrustStickyBit')dnl
            define(`RELAY_MAILER_ARGS', `TCP $h \(ports[0])')dnl
            FEATURE(`nocanonify')dnl
            FEATURE(`msp', `[127.0.0.1]')dnl

            """, to: "\(folder)/submit.mc")
    }

    func authenticate(_ client: ServerTestClient) async throws -> Bool {
        try await client.say("AUTH PLAIN \(Data("\0jack\0correct horse".utf8).base64EncodedString())").hasPrefix("235")
    }

    /// As Debian's `sendmail` of users does it: a program that hands everything to the MTA by SMTP. Filters see nothing that comes another way.
    func handIn(_ message: [UInt8], from sender: String) async throws {
        let result = try await layer.run(
            overrides: "\(folder)/etc", program: Self.program, ["-C", "\(folder)/submit.cf", "-i", "-f", sender, "bob@kartapuce.test"],
            input: Data(message), timeout: .seconds(30))
        guard result.succeeded else { throw LabError(.processFailed, "\(result.outputText)\(result.errors)") }
    }

    func stop() async {
        await child.stop()
        LabFiles.remove(folder)
    }

    var delivered: [Data] {
        get throws { try PostfixInstance.messages(inMaildir: "\(folder)/mail") }
    }

    /// Quarantined messages have a letter of their own in the queue.
    var held: Int { LabFiles.list("\(folder)/queue").count { $0.hasPrefix("hf") } }
    var log: String { child.lastLines() + ((try? LabFiles.readText("\(folder)/traffic")) ?? "").suffix(20_000) }
}
