public import NIOCore

/// Lets tasks run on an event loop, so that a connection and what is done for it change no threads.
///
/// Only for tasks that are quick between two awaits: all connections of the loop wait for them.
public final class EventLoopTaskExecutor: TaskExecutor {
    private let eventLoop: any EventLoop

    /// Makes an executor of an event loop that outlives all tasks.
    public init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// An executor for each event loop of a group.
public struct EventLoopTaskExecutors: Sendable {
    private let executors: [ObjectIdentifier: EventLoopTaskExecutor]

    /// Makes executors for the loops of a group.
    public init(_ group: any EventLoopGroup) {
        executors = Dictionary(group.makeIterator().map { (ObjectIdentifier($0), EventLoopTaskExecutor($0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// The executor of a loop of the group; `nil` for others.
    public func executor(of eventLoop: any EventLoop) -> EventLoopTaskExecutor? { executors[ObjectIdentifier(eventLoop)] }

    /// All of them.
    public var all: [EventLoopTaskExecutor] { Array(executors.values) }
}
