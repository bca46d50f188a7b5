public import DNS

/// What must be true of the zone before anything is changed (RFC 2136 §2.4); otherwise nothing is.
public enum UpdatePrerequisite: Hashable, Sendable {
    /// There are records of the type, whatever they say (§2.4.1).
    case recordsExist(DomainName, DNSRecordType)
    /// The records of the type are exactly these, their order and lifetime apart (§2.4.2).
    case recordsAre(DomainName, [UpdateRecordData])
    /// There are no records of the type (§2.4.3).
    case noRecords(DomainName, DNSRecordType)
    /// The name has a record (§2.4.4).
    case nameExists(DomainName)
    /// The name has no record (§2.4.5).
    case noName(DomainName)
}

/// One change to a zone (RFC 2136 §2.5).
public enum UpdateChange: Hashable, Sendable {
    /// Adds a record; one that is there already stays, with the new lifetime (§2.5.1).
    case add(DomainName, timeToLive: UInt32, UpdateRecordData)
    /// Deletes all records of a type (§2.5.2).
    case deleteRecords(DomainName, DNSRecordType)
    /// Deletes all records of a name (§2.5.3).
    case deleteName(DomainName)
    /// Deletes one record (§2.5.4).
    case delete(DomainName, UpdateRecordData)
}

/// A request to change a zone: all of it is done, or nothing (RFC 2136 §1).
public struct UpdateMessage: Hashable, Sendable {
    /// The zone, as its SOA record names it.
    public var zone: DomainName
    /// What must be true before.
    public var prerequisites: [UpdatePrerequisite]
    /// What is done, one after the other.
    public var changes: [UpdateChange]

    /// Makes a request.
    public init(zone: DomainName, prerequisites: [UpdatePrerequisite] = [], changes: [UpdateChange]) {
        self.zone = zone
        self.prerequisites = prerequisites
        self.changes = changes
    }

    /// Deletes what is there of a type, and puts these records in its place.
    public static func replacing(
        _ name: DomainName, _ type: DNSRecordType, with records: [UpdateRecordData], timeToLive: UInt32
    ) -> [UpdateChange] {
        [.deleteRecords(name, type)] + records.map { .add(name, timeToLive: timeToLive, $0) }
    }

    /// The message's octets, unsigned.
    /// - Parameter identifier: A number that nobody can guess, from the caller's source of random numbers (RFC 5452 §4.3).
    public func octets(identifier: UInt16, limits: DNSUpdateLimits = DNSUpdateLimits()) throws(DNSUpdateError) -> [UInt8] {
        guard prerequisites.count <= limits.prerequisiteLimit, changes.count <= limits.changeLimit else {
            throw DNSUpdateError(.limitExceeded, "\(prerequisites.count) prerequisites and \(changes.count) changes are too many for one update")
        }
        var records = MessageWriter()
        var prerequisiteCount = 0
        for prerequisite in prerequisites { prerequisiteCount += try write(prerequisite, to: &records) }
        for change in changes { try write(change, to: &records) }
        var writer = MessageWriter()
        writer.append(identifier)
        // RFC 2136 §2.2: a request with the opcode 5, all other bits zero.
        writer.append(UInt16(5) << 11)
        writer.append(UInt16(1))
        guard let prerequisiteCount = UInt16(exactly: prerequisiteCount), let changeCount = UInt16(exactly: changes.count) else {
            throw DNSUpdateError(.limitExceeded, "more than 65535 records in a section (RFC 1035 §4.1.1)")
        }
        writer.append(prerequisiteCount)
        writer.append(changeCount)
        writer.append(UInt16(0))
        // RFC 2136 §2.3: the zone section is a question for the SOA record.
        try writer.append(zone)
        writer.append(DNSRecordType.soa.rawValue)
        writer.append(RecordClass.internet)
        writer.append(records.octets)
        guard writer.octets.count <= limits.messageSizeLimit else {
            throw DNSUpdateError(.limitExceeded, "an update of \(writer.octets.count) octets fits no message (RFC 1035 §4.2.2)")
        }
        return writer.octets
    }

    /// How many records the prerequisite takes.
    private func write(_ prerequisite: UpdatePrerequisite, to writer: inout MessageWriter) throws(DNSUpdateError) -> Int {
        switch prerequisite {
        case .recordsExist(let name, let type): try write(name, type.rawValue, RecordClass.any, to: &writer)
        case .noRecords(let name, let type): try write(name, type.rawValue, RecordClass.none, to: &writer)
        case .nameExists(let name): try write(name, RecordClass.anyType, RecordClass.any, to: &writer)
        case .noName(let name): try write(name, RecordClass.anyType, RecordClass.none, to: &writer)
        case .recordsAre(let name, let records):
            guard !records.isEmpty else {
                throw DNSUpdateError(.invalidRecord, "no records of \(name) to compare with; that there are none is another prerequisite (RFC 2136 §2.4.2)")
            }
            for record in records { try write(name, record.type.rawValue, RecordClass.internet, data: record.octets(), to: &writer) }
            return records.count
        }
        return 1
    }

    private func write(_ change: UpdateChange, to writer: inout MessageWriter) throws(DNSUpdateError) {
        switch change {
        case .add(let name, let timeToLive, let data):
            // RFC 2181 §8: the highest bit is never set.
            guard timeToLive <= UInt32(Int32.max) else {
                throw DNSUpdateError(.invalidRecord, "a record can't live \(timeToLive) seconds (RFC 2181 §8)")
            }
            try write(name, data.type.rawValue, RecordClass.internet, timeToLive: timeToLive, data: data.octets(), to: &writer)
        case .deleteRecords(let name, let type): try write(name, type.rawValue, RecordClass.any, to: &writer)
        case .deleteName(let name): try write(name, RecordClass.anyType, RecordClass.any, to: &writer)
        case .delete(let name, let data): try write(name, data.type.rawValue, RecordClass.none, data: data.octets(), to: &writer)
        }
    }

    private func write(
        _ name: DomainName, _ type: UInt16, _ recordClass: UInt16, timeToLive: UInt32 = 0, data: [UInt8] = [], to writer: inout MessageWriter
    ) throws(DNSUpdateError) {
        // RFC 2136 §3.2.1 and §3.4.1.1: the server would say NOTZONE.
        guard name.isEqualOrSubdomain(of: zone) else {
            throw DNSUpdateError(.invalidRecord, "\(name) doesn't lie in the zone \(zone) (RFC 2136 §3.4.1.1)")
        }
        try writer.appendRecord(name: name, type: type, recordClass: recordClass, timeToLive: timeToLive, data: data)
    }
}

/// The classes and pseudo types of the protocol (RFC 2136 §1.3).
enum RecordClass {
    static let internet: UInt16 = 1
    static let none: UInt16 = 254
    static let any: UInt16 = 255
    /// The type that stands for all types.
    static let anyType: UInt16 = 255
}
