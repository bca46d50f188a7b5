import ACME
import Crypto
import DNS
import FoundationEssentials
import Logging
import MailTransport
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOTLS
import ServiceLifecycle
import SwiftASN1
import X509

/// Answers http-01 (RFC 8555 §8.3) or tls-alpn-01 (RFC 8737) on a listener of its own, and nothing else: there is no page, no redirection and
/// no certificate but those of challenges that are under way.
struct ChallengeResponder: Service {
    let folder: ChallengeFolder
    let kind: ACMEChallengeKind
    let address: IPAddress
    let port: Int
    let group: any EventLoopGroup
    let logger: Logger
    /// Authorities look from some places at once; everybody else has nothing to do here.
    private let limiter = ConnectionLimiter(total: 64, perNetwork: 16)

    init(folder: ChallengeFolder, settings: Configuration.ACMESettings, group: any EventLoopGroup, logger: Logger) {
        self.folder = folder
        kind = settings.challenge
        address = settings.address
        port = settings.challengePort
        self.group = group
        self.logger = logger
    }

    /// Listens until the channel is closed.
    func bind() async throws -> any Channel {
        let tls = kind == .tlsALPN01 ? try makeContext() : nil
        return try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let remote = channel.remoteAddress?.internetAddress, limiter.admit(remote) else { return channel.close(promise: nil) }
                    channel.closeFuture.whenComplete { _ in limiter.release(remote) }
                    // Whoever is slow, or says nothing, isn't an authority.
                    let deadline = channel.eventLoop.scheduleTask(in: .seconds(15)) { channel.close(promise: nil) }
                    channel.closeFuture.whenComplete { _ in deadline.cancel() }
                    let pipeline = channel.pipeline.syncOperations
                    if let tls {
                        try pipeline.addHandler(NIOSSLServerHandler(context: tls))
                        try pipeline.addHandler(HandshakeOnly())
                    } else {
                        try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false, withErrorHandling: true)
                        try pipeline.addHandler(HTTPChallengeHandler(folder: folder))
                    }
                }
            }
            .bind(host: "\(address)", port: port).get()
    }

    func run() async throws {
        let channel = try await bind()
        logger.info(
            "listening", metadata: ["listener": "\(kind.rawValue)", "address": "\(address)", "port": "\(channel.localAddress?.port ?? port)"])
        try? await gracefulShutdown()
        try? await channel.close()
    }

    /// RFC 8737 §4: TLS 1.2 or later, the protocol, and the certificate of the name that the client asks for.
    private func makeContext() throws -> NIOSSLContext {
        // Shown to nobody: without a challenge for the name there is no handshake.
        let key = P256.Signing.PrivateKey()
        let name = try DistinguishedName { CommonName("no challenge") }
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: Certificate.PublicKey(key.publicKey), notValidBefore: Date.now,
            notValidAfter: Date.now.addingTimeInterval(86_400), issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions(), issuerPrivateKey: Certificate.PrivateKey(key))
        let pem = try certificate.serializeAsPEM().pemString
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(pem.utf8)).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.pemRepresentation.utf8), format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = [ACMEChallengeTask.alpnProtocol]
        configuration.sslContextCallback = { [folder] values, promise in
            promise.completeWithTask {
                guard let text = values.serverHostname, let name = try? DomainName(text), let pem = folder.certificate(name: name) else {
                    throw HostError("no challenge for the name")
                }
                var override = NIOSSLContextConfigurationOverride()
                override.certificateChain = try NIOSSLCertificate.fromPEMBytes(pem).map { .certificate($0) }
                override.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: pem, format: .pem))
                return override
            }
        }
        return try NIOSSLContext(configuration: configuration)
    }
}

/// RFC 8737 §3: after the handshake the connection is closed; nothing is said.
private final class HandshakeOnly: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { context.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.close(promise: nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// One request and its answer; then the connection is closed.
private final class HTTPChallengeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let prefix = "/.well-known/acme-challenge/"
    private let folder: ChallengeFolder
    private var isAnswered = false

    init(folder: ChallengeFolder) { self.folder = folder }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), !isAnswered else { return }
        isAnswered = true
        let channel = context.channel
        let folder = folder
        let token = head.method == .GET && head.uri.hasPrefix(Self.prefix) ? String(head.uri.dropFirst(Self.prefix.count)) : ""
        Task { await folder.answer(token, channel) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

extension ChallengeFolder {
    /// Answers http-01, and closes.
    fileprivate func answer(_ token: String, _ channel: any Channel) async {
        let found = keyAuthorization(token: token)
        let body = found ?? "not found\n"
        let headers: HTTPHeaders = [
            "content-type": found == nil ? "text/plain" : "application/octet-stream", "content-length": "\(body.utf8.count)", "connection": "close",
        ]
        let status: HTTPResponseStatus = found == nil ? .notFound : .ok
        channel.write(HTTPServerResponsePart.head(.init(version: .http1_1, status: status, headers: headers)), promise: nil)
        channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: body))), promise: nil)
        try? await channel.writeAndFlush(HTTPServerResponsePart.end(nil)).get()
        try? await channel.close().get()
    }
}
