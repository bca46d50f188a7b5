import Foundation
import MailTesting
import Testing

@testable import Lab

/// Where the units are.
enum SystemdUnits {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    static let folder = "\(root)/deploy/systemd"
    static let names = ["mx", "relay", "submission", "internal", "store", "webmail", "milter", "resolver"].map { "postern-\($0)" } + ["postern"]
}

/// The systemd units: what systemd itself says about them, and that their restrictions restrict.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct SystemdUnitTests {
    @Test func everyUnitInTheFolderIsTested() {
        let files = LabFiles.list(SystemdUnits.folder).filter { $0.hasSuffix(".service") }
        #expect(Set(files) == Set(SystemdUnits.names.map { "\($0).service" }))
    }

    @Test(arguments: SystemdUnits.names)
    func systemdRatesTheExposureUnderTwo(name: String) async throws {
        let rated = try await Command.run(
            "systemd-analyze",
            ["security", "--offline=true", "--threshold=19", "--no-pager", "\(SystemdUnits.folder)/\(name).service"]
        )
        #expect(rated.succeeded, "\(rated.outputText)\(rated.errors)")
        let verdict = rated.outputText.components(separatedBy: "Overall exposure level for \(name).service: ").last ?? ""
        let exposure = try #require(Double(verdict.prefix { $0.isNumber || $0 == "." }), "\(rated.outputText)")
        #expect(exposure < 2)
    }

    /// The units name programs that an installation has; here they stand where they were built.
    @Test(arguments: SystemdUnits.names)
    func systemdFindsNoFault(name: String) async throws {
        let folder = try LabFiles.temporaryFolder("units")
        defer { LabFiles.remove(folder) }
        let text = try LabFiles.readText("\(SystemdUnits.folder)/\(name).service").replacingOccurrences(of: "/usr/bin/postern", with: try posternBinary())
        try LabFiles.write(text, to: "\(folder)/\(name).service")
        let verified = try await Command.run("systemd-analyze", ["verify", "--man=no", "\(folder)/\(name).service"])
        #expect(verified.succeeded)
        #expect(verified.errors.isEmpty, "\(verified.errors)")
    }

    @Test(arguments: SystemdUnits.names)
    func everyUnitHasTheRestrictions(name: String) throws {
        let lines = try LabFiles.readText("\(SystemdUnits.folder)/\(name).service").split(separator: "\n").map(String.init)
        for wanted in [
            "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes", "MemoryDenyWriteExecute=yes",
            "RestrictNamespaces=yes", "LockPersonality=yes", "UMask=0077", "SystemCallArchitectures=native", "SystemCallFilter=@system-service",
            name == "postern-resolver" ? "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX" : "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        ] {
            #expect(lines.contains(wanted), "\(name) lacks \(wanted)")
        }
        // A capability only where a port below 1024 is bound; a user namespace where none is.
        let capability = lines.first { $0.hasPrefix("CapabilityBoundingSet=") }
        let hasHighPorts = ["postern-relay", "postern-milter"].contains(name)
        #expect(capability == (hasHighPorts ? "CapabilityBoundingSet=" : "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"))
        #expect(lines.contains("PrivateUsers=yes") == hasHighPorts)
        // The roles that never speak with the internet can't.
        #expect(lines.contains("IPAddressDeny=any") == ["postern-submission", "postern-internal", "postern-store"].contains(name))
    }

    /// A program that is under a unit's restrictions, and tries to get out of them.
    @Test(arguments: ["postern-mx", "postern-relay"])
    func theRestrictionsRestrict(name: String) async throws {
        let folder = try LabFiles.temporaryFolder("unit-try")
        defer { LabFiles.remove(folder) }
        try LabFiles.makeFolder("\(folder)/state")
        try await PlayedUnits.handOver("\(folder)/state")
        let attempts = """
            import ctypes, json, mmap, os, socket, sys
            libc = ctypes.CDLL(None, use_errno=True)
            state = sys.argv[1]
            def call(function, *arguments):
                if function(*arguments) < 0: raise OSError(ctypes.get_errno(), "refused")
            def bind(port):
                with socket.socket() as listener: listener.bind(("127.0.0.1", port))
            attempts = {
                "write its state": lambda: open(state + "/file", "w").write("x"),
                "write below /tmp": lambda: open("/tmp/file", "w").write("x"),
                "open a socket": lambda: socket.socket(socket.AF_INET6).close(),
                "bind a low port": lambda: bind(25),
                "write /etc": lambda: open("/etc/postern-was-here", "w"),
                "write /usr": lambda: open("/usr/postern-was-here", "w"),
                "read root's home": lambda: os.listdir("/root"),
                "speak netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
                "sniff packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
                "forge packets": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
                "write code into memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
                "make a namespace": lambda: call(libc.unshare, 0x10000000),
                "mount": lambda: call(libc.mount, b"tmpfs", b"/tmp", b"tmpfs", 0, None),
                "become root": lambda: os.setuid(0),
                "make a set-user-ID program": lambda: os.chmod(state + "/file", 0o4755),
                "trace": lambda: call(libc.ptrace, 0, 0, 0, 0),
                "see other processes": lambda: os.stat("/proc/1"),
            }
            result = {}
            for name, attempt in attempts.items():
                try:
                    attempt()
                    result[name] = True
                except (OSError, ValueError): result[name] = False
            print(json.dumps(result))
            """
        // A network of its own: the machine's may allow low ports to everybody.
        let tried = try await Command.run(
            "unshare",
            [
                "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", "/usr/bin/python3", "\(SystemdUnits.root)/scripts/play-unit.py",
                "\(SystemdUnits.folder)/\(name).service", "--state", "\(folder)/state", "--other-command", "--", "/usr/bin/python3", "-c", attempts,
                "\(folder)/state",
            ]
        )
        #expect(tried.succeeded, "\(tried.errors)")
        let found = try JSONDecoder().decode([String: Bool].self, from: tried.output)
        let works = Set(found.filter(\.value).keys)
        let lowPort: Set = name == "postern-mx" ? ["bind a low port"] : []
        #expect(works == lowPort.union(["write its state", "write below /tmp", "open a socket"]))
        #expect(found.count == 17)
    }
}
