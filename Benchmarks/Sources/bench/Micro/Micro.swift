import Foundation
import MailMessage
import NIOCore
import SMTP

/// Small things in a loop, without a network.
enum Micro {
    static func all(_ run: Run) async throws {
        try parsing(run)
        try await SpoolDesigns.measure(run)
    }

    /// Calls `body` for about a second, three times; the best of the three in calls a second, as others on the machine only ever slow it.
    private static func callsPerSecond(_ body: () throws -> Void) rethrows -> Double {
        var best = 0.0
        for _ in 0..<3 {
            let start = ContinuousClock.now
            var calls = 0
            var elapsed = Duration.zero
            repeat {
                for _ in 0..<8 { try body() }
                calls += 8
                elapsed = ContinuousClock.now - start
            } while elapsed < .milliseconds(500)
            best = max(best, Double(calls) / (elapsed / .seconds(1)))
        }
        return best
    }

    private static func parsing(_ run: Run) throws {
        var table = Table(["parsers", "a second", "GB/s"])
        var found = 0
        let messages = [
            ("4k", SampleMail.plain(1, octets: 4 << 10)), ("100k", SampleMail.multipart(2, octets: 100 << 10)),
            ("10m", SampleMail.multipart(3, octets: 10 << 20)),
        ]
        for (name, octets) in messages {
            let rate = callsPerSecond {
                let message = Message(parsing: octets)
                found += message.allParts.count
            }
            let speed = rate * Double(octets.readableBytes) / 1e9
            run.figures["micro.message.parse.\(name).gb_s"] = speed
            run.figures["micro.message.parse.\(name).per_s"] = rate
            table.add(["message \(name), \(Message(parsing: octets).allParts.count) parts", show(rate), show(speed)])
        }
        let lines = [
            "EHLO client.gmail.test", "MAIL FROM:<tom@gmail.test> SIZE=4711 BODY=8BITMIME", "RCPT TO:<bob+lists@kartapuce.test> NOTIFY=FAILURE,DELAY",
            "RCPT TO:<jack@kartapuce.test>", "DATA", "QUIT",
        ].map { Array($0.utf8) }
        let rate = try callsPerSecond {
            for line in lines {
                if try SMTPCommand.parse(line, postmasterDomain: "kartapuce.test") == .quit { found += 1 }
            }
        }
        run.figures["micro.smtp.commands.per_s"] = rate * Double(lines.count)
        let octets = lines.reduce(0) { $0 + $1.count }
        table.add(["SMTP commands", show(rate * Double(lines.count)), show(rate * Double(octets) / 1e9)])
        // What was parsed has to be used, or the compiler may leave the work out.
        guard found > 0 else { throw BenchError("the parsers found nothing") }
        say(table.text)
    }
}
