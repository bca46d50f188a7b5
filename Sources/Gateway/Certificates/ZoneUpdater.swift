import DNS
import DNSUpdate
import FoundationEssentials
import NIOCore
import NIOPosix

/// Changes a zone.
protocol ZoneUpdating: Sendable {
    /// Carries changes out, all or none.
    /// - Throws: an error that says why they weren't.
    func update(_ changes: [UpdateChange], at time: Date) async throws
}

/// Sends changes of a zone to its primary name server, signed, over TCP.
///
/// Deliberate: never over UDP. A datagram that gets lost would have to be sent again, and nobody knows then whether the first one was
/// carried out (RFC 2136 §6.6).
struct ZoneUpdater: ZoneUpdating {
    let server: IPAddress
    let port: Int
    let zone: DomainName
    let key: TransactionKey
    let group: any EventLoopGroup
    var timeLimit = TimeAmount.seconds(20)

    /// `nil` where no server is configured.
    init?(_ configuration: Configuration, group: any EventLoopGroup) throws {
        guard let acme = configuration.acme, let server = acme.updateServer, let file = acme.updateKeyFile,
            let zone = acme.updateZone ?? configuration.domains.first
        else { return nil }
        try self.init(server, acme.updatePort, zone, keyFile: file, setting: "acme.updateKeyFile", group: group)
    }

    /// For the records of a domain; what the section dns doesn't say is taken from the section acme. `nil` where no server is configured.
    init?(_ configuration: Configuration, domain: DomainName, group: any EventLoopGroup) throws {
        if let dns = configuration.dns, let server = dns.updateServer, let file = dns.updateKeyFile {
            try self.init(server, dns.updatePort, dns.updateZone ?? domain, keyFile: file, setting: "dns.updateKeyFile", group: group)
            return
        }
        guard let acme = configuration.acme, let server = acme.updateServer, let file = acme.updateKeyFile else { return nil }
        let zone = configuration.dns?.updateZone ?? acme.updateZone ?? domain
        try self.init(server, acme.updatePort, zone, keyFile: file, setting: "acme.updateKeyFile", group: group)
    }

    private init(_ server: IPAddress, _ port: Int, _ zone: DomainName, keyFile: String, setting: String, group: any EventLoopGroup) throws {
        guard let text = FileManager.default.contents(atPath: keyFile).flatMap({ String(validating: $0, as: UTF8.self) }) else {
            throw HostError("\(setting): \(keyFile) can't be read")
        }
        self.server = server
        self.port = port
        self.zone = zone
        do { key = try TransactionKey(text: text) } catch { throw HostError("\(setting): \(keyFile): \(error)") }
        self.group = group
    }

    /// Carries changes out, all or none.
    /// - Throws: an error with what the server said.
    func update(_ changes: [UpdateChange], at time: Date) async throws {
        let request = try SignedUpdate(
            UpdateMessage(zone: zone, changes: changes), identifier: UInt16.random(in: 0...UInt16.max), key: key, at: time)
        let answer = try await exchange(request)
        let response = try request.response(answer, at: Date.now)
        guard response.isSuccess else { throw HostError("\(server) port \(port) didn't change \(zone): \(response.reason)") }
    }

    private func exchange(_ request: SignedUpdate) async throws -> [UInt8] {
        let promise = group.any().makePromise(of: [UInt8].self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: group).connectTimeout(.seconds(5))
                .channelInitializer { [timeLimit] channel in
                    channel.eventLoop.makeCompletedFuture {
                        let deadline = channel.eventLoop.scheduleTask(in: timeLimit) {
                            promise.fail(HostError("no answer in time"))
                            channel.close(promise: nil)
                        }
                        channel.closeFuture.whenComplete { _ in deadline.cancel() }
                        try channel.pipeline.syncOperations.addHandler(UpdateHandler(promise: promise))
                    }
                }
                .connect(to: SocketAddress(ipAddress: "\(server)", port: port)).get()
        } catch {
            promise.fail(error)
            throw HostError("\(server) port \(port) can't be reached for updates: \(error)")
        }
        defer { channel.close(promise: nil) }
        channel.writeAndFlush(ByteBuffer(bytes: request.streamOctets), promise: nil)
        do { return try await promise.futureResult.get() } catch { throw HostError("\(server) port \(port): \(error)") }
    }
}

/// Waits for one message.
private final class UpdateHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let promise: EventLoopPromise<[UInt8]>
    private var received: ArraySlice<UInt8> = []

    init(promise: EventLoopPromise<[UInt8]>) { self.promise = promise }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // No message is longer than its length can say.
        received += unwrapInboundIn(data).readableBytesView.prefix(65_537 - received.count)
        if let message = SignedUpdate.takeStreamMessage(&received) {
            promise.succeed(message)
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(HostError("the connection was closed without an answer"))
        context.fireChannelInactive()
    }
}
