/// A value that is made once and passed on many times: evidence of dozens of fields is handed on by one reference.
final class DKIMShared<Value: Sendable>: Sendable {
    let value: Value

    init(_ value: consuming Value) { self.value = value }
}
