import FoundationEssentials
import MailMessage
import MailStore
import Testing

@testable import Gateway

/// What waits in memory for its turn: no destination takes the room of the others.
@Suite struct ReadyQueueTests {
    private func recipient(_ number: Int64, _ destination: String) -> QueuedRecipient {
        QueuedRecipient(
            id: number, message: QueueID(rawValue: number), recipient: EnvelopeRecipient(address: EmailAddress(localPart: "tom", domain: "gmail.test")),
            destination: destination, state: .queued, attempts: 0, nextAttempt: Date(timeIntervalSinceReferenceDate: 0), lastStatus: nil,
            holdReason: nil, delayNotified: false)
    }

    @Test func aDestinationHasAQuarterOfTheRoom() {
        var ready = ReadyQueue(capacity: 16)
        for number in 1...4 { #expect(ready.add(nil, [recipient(Int64(number), "mx:dead.test")]) == [Int64(number)]) }
        #expect(ready.fullDestinations == ["mx:dead.test"])
        #expect(ready.add(nil, [recipient(5, "mx:dead.test")]).isEmpty)
        #expect(ready.add(nil, [recipient(6, "mx:gmail.test")]) == [6])
        #expect(ready.next { $0 == "mx:gmail.test" }?.id == QueueID(rawValue: 6))
        // What is there already is passed over.
        #expect(ready.add(nil, [recipient(1, "mx:dead.test"), recipient(7, "mx:gmail.test")]) == [7])
    }

    @Test func whatHadNoRoomIsLookedForWhenThereIsSome() {
        var ready = ReadyQueue(capacity: 16)
        #expect(!ready.isWorthFilling)
        for number in 1...5 { ready.add(nil, [recipient(Int64(number), "mx:gmail.test")]) }
        // Full: not for each one that leaves, but when half of the line is empty.
        #expect(!ready.isWorthFilling)
        #expect(ready.next { _ in true } != nil)
        #expect(!ready.isWorthFilling)
        #expect(ready.next { _ in true } != nil)
        #expect(ready.isWorthFilling)
        ready.beginFilling()
        #expect(!ready.isWorthFilling)
        ready.noteMore(for: ["mx:gmail.test"])
        #expect(ready.isWorthFilling)
    }

    @Test func aDestinationThatCannotBeReachedLeavesTheMemory() {
        var ready = ReadyQueue(capacity: 16)
        for number in 1...5 { ready.add(nil, [recipient(Int64(number), "mx:dead.test")]) }
        ready.add(nil, [recipient(9, "mx:gmail.test")])
        ready.drop("mx:dead.test")
        #expect(ready.recipients == [9])
        #expect(!ready.isWorthFilling)
        #expect(ready.next { _ in true }?.destination == "mx:gmail.test")
        #expect(ready.next { _ in true } == nil)
        #expect(ready.room == 16)
    }

    @Test func allTogetherHaveALimit() {
        var ready = ReadyQueue(capacity: 16)
        for number in 1...20 { ready.add(nil, [recipient(Int64(number), "mx:host\(number).test")]) }
        #expect(ready.recipients.count == 16)
        #expect(ready.room == 0)
        // Those of one message that fit are taken, the others are found later.
        for _ in 1...2 { _ = ready.next { _ in true } }
        #expect(ready.add(nil, [recipient(31, "mx:a.test"), recipient(32, "mx:b.test"), recipient(33, "mx:c.test")]) == [31, 32])
    }
}
