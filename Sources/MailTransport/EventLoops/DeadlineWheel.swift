import NIOCore
import NIOPosix

/// Something that waits for a time, on an event loop.
protocol Expiring: AnyObject {
    /// Its time has come. It may wait again by ``DeadlineWheel/expire(_:at:instead:)``.
    func timeIsUp()
}

/// The time limits of all connections of an event loop.
///
/// The event loop's own timers are made for few: to cancel one of them, it looks through all. A server has one or more for each connection,
/// sets them anew with each word, and nearly none ever fires. Here setting and cancelling take the same time however many there are, and
/// times that lie close together are one. Nobody is called too early, and at most ``grain`` too late.
final class DeadlineWheel {
    /// How late somebody may be called, in nanoseconds.
    static let grain: UInt64 = 50_000_000

    /// Where somebody waits.
    struct Place: Equatable {
        fileprivate let slot: UInt64
        /// Whether nobody who waits here is called after the deadline.
        func isBefore(_ deadline: NIODeadline) -> Bool { slot <= DeadlineWheel.slot(of: deadline) }
    }

    private let eventLoop: any EventLoop
    private var slots: [UInt64: [ObjectIdentifier: any Expiring]] = [:]
    /// The next slot that is looked at.
    private var next: UInt64?

    private init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Safe: every thread sees only what it put there itself.
    nonisolated(unsafe) private static let ofThread = ThreadSpecificVariable<DeadlineWheel>()

    /// The wheel of the event loop that this runs on.
    static func current(of eventLoop: any EventLoop) -> DeadlineWheel {
        eventLoop.preconditionInEventLoop()
        // Loops of tests share a thread: there the last one has its wheel, and earlier wheels go on with those who know them.
        if let wheel = unsafe ofThread.currentValue, wheel.eventLoop === eventLoop { return wheel }
        let wheel = DeadlineWheel(eventLoop: eventLoop)
        unsafe ofThread.currentValue = wheel
        return wheel
    }

    /// Calls somebody at a time.
    /// - Parameter earlier: where it waits until now, which is no longer so.
    func expire(_ expiring: any Expiring, at deadline: NIODeadline, instead earlier: Place? = nil) -> Place {
        let slot = Self.slot(of: deadline)
        guard earlier?.slot != slot else { return Place(slot: slot) }
        if let earlier { cancel(expiring, earlier) }
        slots[slot, default: [:]][ObjectIdentifier(expiring)] = expiring
        turn(to: slot)
        return Place(slot: slot)
    }

    /// Somebody need not be called.
    func cancel(_ expiring: any Expiring, _ place: Place) {
        slots[place.slot]?[ObjectIdentifier(expiring)] = nil
        if slots[place.slot]?.isEmpty ?? false { slots[place.slot] = nil }
    }

    private static func slot(of deadline: NIODeadline) -> UInt64 {
        let (quotient, remainder) = deadline.uptimeNanoseconds.quotientAndRemainder(dividingBy: grain)
        return remainder == 0 ? quotient : quotient + 1
    }

    private func turn(to slot: UInt64) {
        if let next, next <= slot { return }
        next = slot
        // A turn that was planned for later is left as it is: it finds nothing to do.
        eventLoop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(slot * Self.grain)) { self.turned(to: slot) }
    }

    private func turned(to slot: UInt64) {
        guard slot == next else { return }
        next = nil
        for due in slots.keys.filter({ $0 <= slot }).sorted() {
            for expiring in (slots.removeValue(forKey: due) ?? [:]).values { expiring.timeIsUp() }
        }
        if let first = slots.keys.min() { turn(to: first) }
    }
}
