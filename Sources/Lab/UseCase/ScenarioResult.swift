/// What came of one scenario of the use case.
public struct ScenarioResult: Sendable, Hashable {
    /// What was tried, in a few words.
    public var name: String
    public var passed: Bool
    /// What was seen, or what was missed.
    public var detail: String
    /// The message whose journey tells about it.
    public var messageID: String?
    /// That journey, as `postern trace` tells it.
    public var journey: String?
    public var seconds: Double

    public init(name: String, passed: Bool, detail: String, messageID: String? = nil, seconds: Double) {
        self.name = name
        self.passed = passed
        self.detail = detail
        self.messageID = messageID
        self.seconds = seconds
    }
}
