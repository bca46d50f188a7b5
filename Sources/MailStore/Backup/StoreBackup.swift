public import FoundationEssentials
import GRDB

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Copies of a host's data folder, made while the host serves, and brought back.
///
/// A copy has everything that was stored before it was begun. It is that of one moment for each of the two databases, and has every file
/// that they refer to: before a database is copied, each file gets a second name in a folder of ours, so that it stays when its message
/// is delivered or deleted meanwhile.
public enum StoreBackup {
    /// A database of the data folder with the folder of its large messages.
    private struct Part {
        let database: String
        let folder: String
        let table: String
        static let all = [
            Part(database: "spool.sqlite", folder: "bodies", table: "message"), Part(database: "mail.sqlite", folder: "messages", table: "content"),
        ]
        /// Files that belong to a database and mean nothing without it, or are on their way in.
        static let passing: Set<String> = Set(all.flatMap { [$0.database, "\($0.database)-wal", "\($0.database)-shm", "\($0.database)-journal"] })
    }

    private static let data = "data"
    /// How often a database is copied again because a file that came after the second names were given is gone already.
    private static let attempts = 10

    /// Copies the data folder.
    /// - Parameters:
    ///   - folder: the host's data folder; the host may be running.
    ///   - further: files to be kept with the data, by their paths in the copy: configuration, certificates, keys.
    ///   - target: a folder that is empty or doesn't exist.
    /// - Throws: ``StoreError`` `.exists` where the target isn't empty, `.notFound` where there is nothing to copy, `.full`, `.inputOutput`.
    public static func make(
        of folder: String, host: String, further: [String: String], to target: String, at time: Date
    ) throws -> BackupManifest {
        guard FileManager.default.fileExists(atPath: "\(folder)/\(Part.all[0].database)") else {
            throw StoreError(.notFound, "there is no spool in \(folder): has this host ever been started?")
        }
        try requireEmpty(target)
        try CopiedFile.makeFolder("\(target)/\(data)")
        removeLeftovers(in: folder)
        var manifest = BackupManifest(host: host, time: time, queuedMessages: 0, mailboxMessages: 0, files: [])
        for part in Part.all where FileManager.default.fileExists(atPath: "\(folder)/\(part.database)") {
            let (files, count) = try copy(part, from: folder, to: target)
            manifest.files += files
            if part.table == "message" { manifest.queuedMessages = count } else { manifest.mailboxMessages = count }
        }
        // What else stands in the data folder is small and always whole: it is replaced by renaming.
        for path in try CopiedFile.files(below: folder) where !isPassing(path) {
            manifest.files.append(try CopiedFile.copy("\(folder)/\(path)", to: target, as: "\(data)/\(path)"))
        }
        for (path, source) in further { manifest.files.append(try CopiedFile.copy(source, to: target, as: path)) }
        manifest.files.sort { $0.path < $1.path }
        // The last file: a copy without it is none.
        try manifest.write(to: target)
        return manifest
    }

    /// What says something of the process that runs, and means nothing anywhere else.
    private static let ofTheProcess: Set<String> = ["postern.lock", "reload.json"]

    private static func isPassing(_ path: String) -> Bool {
        Part.passing.contains(path) || ofTheProcess.contains(path) || path.hasPrefix("incoming/") || Part.all.contains { path.hasPrefix("\($0.folder)/") }
            || path.hasPrefix(".backup-")
    }

    /// Removes the second names that a copy left which was killed.
    private static func removeLeftovers(in folder: String) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where name.hasPrefix(".backup-") {
            guard let process = name.split(separator: "-").dropFirst().first.flatMap({ Int32($0) }), kill(process, 0) != 0, errno == ESRCH else { continue }
            try? FileManager.default.removeItem(atPath: "\(folder)/\(name)")
        }
    }

    // MARK: - A database and its files

    private static func copy(_ part: Part, from folder: String, to target: String) throws -> (files: [BackupManifest.File], count: Int) {
        let names = "\(folder)/.backup-\(getpid())-\(part.folder)"
        defer { try? FileManager.default.removeItem(atPath: names) }
        for _ in 0..<attempts {
            try? FileManager.default.removeItem(atPath: names)
            try CopiedFile.makeFolder(names)
            for path in try CopiedFile.files(below: "\(folder)/\(part.folder)") {
                _ = try keep("\(folder)/\(part.folder)/\(path)", in: names)
            }
            let (referenced, count) = try copyDatabase(part, from: folder, to: target)
            var files: [BackupManifest.File] = []
            var isWhole = true
            for name in referenced {
                let path = "\(part.folder)/\(name.prefix(2))/\(name)"
                // What came since the second names were given has only its own.
                guard try FileManager.default.fileExists(atPath: "\(names)/\(name)") || keep("\(folder)/\(path)", in: names) else {
                    isWhole = false
                    break
                }
                files.append(try CopiedFile.copy("\(names)/\(name)", to: target, as: "\(data)/\(path)"))
            }
            if isWhole {
                files.append(try CopiedFile.entry(of: "\(data)/\(part.database)", in: target))
                return (files, count)
            }
            try? FileManager.default.removeItem(atPath: "\(target)/\(data)/\(part.folder)")
        }
        throw StoreError(.busy, "large messages come and go too quickly to be copied: try again when there is less to do")
    }

    /// Gives a file a second name.
    /// - Returns: `false` where the file is gone.
    private static func keep(_ path: String, in folder: String) throws -> Bool {
        guard let name = path.split(separator: "/").last else { return false }
        // Safe: the paths are handed over as C strings that live for the call.
        guard unsafe link(path, "\(folder)/\(name)") != 0 else { return true }
        switch errno {
        case ENOENT: return false
        case EEXIST: return true
        default: throw StoreError(errno: errno, doing: "give a second name to", path: path)
        }
    }

    /// Copies a database as it is at one moment, while others write it.
    /// - Returns: the files that it refers to, and how many messages it has.
    private static func copyDatabase(_ part: Part, from folder: String, to target: String) throws -> (files: [String], count: Int) {
        let path = "\(target)/\(data)/\(part.database)"
        for suffix in ["", "-wal", "-shm", "-journal"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        do {
            var reading = GRDB.Configuration()
            reading.busyMode = .timeout(30)
            let source = try DatabaseQueue(path: "\(folder)/\(part.database)", configuration: reading)
            // Made before SQLite does, so that nobody else can read it.
            _ = try OpenFile(path: path, flags: O_RDWR | O_CREAT | O_EXCL, isTemporary: false)
            let copy = try DatabaseQueue(path: path)
            defer {
                try? copy.close()
                try? source.close()
            }
            try source.backup(to: copy)
            return try copy.writeWithoutTransaction { db in
                // One file, whole without a log beside it.
                try db.execute(sql: "PRAGMA journal_mode = DELETE")
                guard try String.fetchOne(db, sql: "PRAGMA quick_check") == "ok" else {
                    throw StoreError(.corrupted, "\(folder)/\(part.database) is damaged: what can be read of it is in no copy; restore an earlier one")
                }
                let files = try String.fetchAll(db, sql: "SELECT file FROM \(part.table) WHERE file IS NOT NULL")
                return (files, try Int.fetchOne(db, sql: "SELECT count(*) FROM message") ?? 0)
            }
        } catch {
            throw StoreError(database: error)
        }
    }

    // MARK: - Bringing it back

    /// Compares every file of a copy with the manifest.
    /// - Throws: ``StoreError`` `.corrupted` where one is missing, changed, or not in the manifest.
    public static func verify(_ source: String) throws -> BackupManifest {
        let manifest = try BackupManifest.read(from: source)
        for file in manifest.files {
            // A manifest from elsewhere must not lead out of the folder.
            guard !file.path.hasPrefix("/"), !file.path.split(separator: "/").contains("..") else {
                throw StoreError(.corrupted, "the manifest of \(source) names “\(file.path)”, which is not below it")
            }
            let found: BackupManifest.File
            do { found = try CopiedFile.entry(of: file.path, in: source) } catch {
                throw StoreError(.corrupted, "\(source)/\(file.path) is missing or can't be read: \(error)")
            }
            guard found == file else { throw StoreError(.corrupted, "\(source)/\(file.path) isn't as it was copied: use another copy") }
        }
        let known = Set(manifest.files.map(\.path))
        if let stranger = try CopiedFile.files(below: "\(source)/\(data)").first(where: { !known.contains("\(data)/\($0)") }) {
            throw StoreError(.corrupted, "\(source)/\(data)/\(stranger) isn't in the manifest: somebody added it")
        }
        return manifest
    }

    /// Brings the data of a copy back, after comparing all of it with the manifest.
    /// - Parameter folder: the data folder; it is empty or doesn't exist. It appears as a whole, or not at all.
    /// - Throws: ``StoreError`` `.exists` where the folder isn't empty, `.corrupted`, `.full`, `.inputOutput`.
    public static func restore(_ source: String, to folder: String) throws -> BackupManifest {
        try requireEmpty(folder)
        let manifest = try verify(source)
        var place = folder
        while place.count > 1, place.hasSuffix("/") { place.removeLast() }
        let new = "\(place).restoring"
        try? FileManager.default.removeItem(atPath: new)
        try CopiedFile.makeFolder(new)
        do {
            for file in manifest.files where file.path.hasPrefix("\(data)/") {
                let copied = try CopiedFile.copy("\(source)/\(file.path)", to: new, as: String(file.path.dropFirst(data.utf8.count + 1)))
                guard copied.sha256 == file.sha256 else { throw StoreError(.corrupted, "\(source)/\(file.path) changed while it was read") }
            }
            // Safe: the paths are handed over as C strings that live for the call. An empty folder is replaced.
            guard unsafe rename(new, place) == 0 else { throw StoreError(errno: errno, doing: "put in place", path: place) }
        } catch {
            try? FileManager.default.removeItem(atPath: new)
            throw error
        }
        sync()
        return manifest
    }

    private static func requireEmpty(_ folder: String) throws {
        guard FileManager.default.fileExists(atPath: folder) else { return }
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder), names.isEmpty else {
            throw StoreError(.exists, "\(folder) isn't an empty folder: nothing is overwritten; name another one, or move it away")
        }
    }
}
