import MailMessage
import NIOCore
import SMTP

/// The octets of the message that is arriving: in memory up to a limit, in a file beyond it.
struct MessageCollector {
    /// Octets that are in no file.
    private(set) var buffer = ByteBuffer()
    /// What was written already went here.
    var file: (any IncomingFile)?
    private let budget: MemoryBudget

    init(budget: MemoryBudget) { self.budget = budget }

    /// Takes octets that arrived.
    mutating func append(_ octets: ByteBuffer) {
        budget.add(octets.readableBytes)
        buffer.writeImmutableBuffer(octets)
    }

    /// Hands out what is in memory; whoever gets it calls `budget.remove` when it is gone.
    mutating func takeBuffer() -> ByteBuffer {
        defer { buffer = ByteBuffer() }
        return buffer
    }

    /// Lets go of what is in memory.
    mutating func forget() {
        budget.remove(buffer.readableBytes)
        buffer = ByteBuffer()
    }
}

/// What a client said in a transaction and was told, as far as it is kept.
struct ExchangeLog {
    /// Commands of every kind up to here.
    static let limit = 200
    /// Refusals up to here.
    static let refusalLimit = 1000

    private(set) var exchanges: [SMTPExchange] = []

    mutating func append(_ exchange: SMTPExchange) {
        guard exchanges.count < Self.limit || (!exchange.reply.isPositive && exchanges.count < Self.refusalLimit) else { return }
        // MAIL, one recipient, DATA: what most transactions have.
        if exchanges.isEmpty { exchanges.reserveCapacity(3) }
        exchanges.append(exchange)
    }
}
