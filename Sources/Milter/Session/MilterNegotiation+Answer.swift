extension MilterNegotiation {
    /// The answer to an MTA's offer: nothing is asked for that isn't offered, or that the MTA's version doesn't have.
    /// - Throws: ``MilterError`` for a version that isn't spoken.
    func answer(for configuration: MilterConfiguration) throws(MilterError) -> MilterNegotiation {
        guard version >= 2 else { throw MilterError(.versionTooOld, command: UInt8(ascii: "O"), at: 1) }
        let common = min(version, 6)
        let offeredActions = actions.intersection(.known(inVersion: common))
        let offeredSteps = steps.intersection(.known(inVersion: common))
        var wanted = configuration.actions.subtracting(.requestMacros)
        let requests = configuration.macroRequests.filter { !$0.value.isEmpty }
        if !requests.isEmpty { wanted.insert(.requestMacros) }
        let agreed = wanted.intersection(offeredActions)
        return MilterNegotiation(
            version: common, actions: agreed, steps: Self.steps(for: configuration).intersection(offeredSteps),
            macroRequests: agreed.contains(.requestMacros) ? requests : [:])
    }

    private static func steps(for configuration: MilterConfiguration) -> MilterStepFlags {
        var steps: MilterStepFlags = [.noReplyToHeaders, .noReplyToEndOfHeader, .noUnknown, .noReplyToUnknown, .leadingSpace]
        for stage in [MilterStage.connect, .helo, .mail, .recipient, .data] where !configuration.decisions.contains(stage) {
            steps.insert(.noReply(to: stage))
        }
        if !configuration.decisions.contains(.data) { steps.insert(.noData) }
        if configuration.maySkipBody { steps.insert(.skip) } else { steps.insert(.noReplyToBody) }
        return steps
    }

    /// Whether the MTA waits for an answer to a command.
    func awaitsReply(to command: MilterCommand) -> Bool {
        switch command {
        case .negotiate, .endOfMessage: true
        case .connect: !steps.contains(.noReplyToConnect)
        case .helo: !steps.contains(.noReplyToHelo)
        case .mail: !steps.contains(.noReplyToMail)
        case .recipient: !steps.contains(.noReplyToRecipients)
        case .data: !steps.contains(.noReplyToData)
        case .unknown: !steps.contains(.noReplyToUnknown)
        case .header: !steps.contains(.noReplyToHeaders)
        case .endOfHeader: !steps.contains(.noReplyToEndOfHeader)
        case .body: !steps.contains(.noReplyToBody)
        case .macros, .abort, .quit, .quitNewConnection: false
        }
    }
}
