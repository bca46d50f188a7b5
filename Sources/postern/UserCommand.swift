import ArgumentParser
import DNS
import Gateway
import MailMessage
import MailStore

/// `postern user`.
struct UserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Manage the users of this host.",
        subcommands: [UserAddCommand.self, UserListCommand.self, UserRemoveCommand.self, UserPasswordCommand.self])
}

private struct UserResult: Encodable {
    var user: String
    var action: String
}

/// `postern user add`.
struct UserAddCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "add", abstract: "Add a user.")

    @Argument(help: "The user's address.", transform: EmailAddress.argument)
    var address: EmailAddress
    @OptionGroup var password: PasswordOptions
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let loaded = try options.load()
        let user = address.lowercased
        guard loaded.domains.contains(where: { $0.ascii == user.domain }) else {
            throw CommandFailure(
                .badData,
                "\(user.domain) is none of the organisation's domains (\(loaded.domains.map(\.ascii).joined(separator: ", "))); add it to domains first"
            )
        }
        let verifier = try password.verifier(for: user)
        try await loaded.openMailboxes().addUser(user, verifier: verifier)
        try output.show(UserResult(user: user.description, action: "added")) { "added \(user)" }
    }
}

/// `postern user list`.
struct UserListCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the users.")

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let users = try await options.load().openMailboxes().users().map(\.description).sorted()
        try output.show(["users": users]) { users.joined(separator: "\n") }
    }
}

/// `postern user remove`.
struct UserRemoveCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Remove a user with all mailboxes and messages.")

    @Argument(help: "The user's address.", transform: EmailAddress.argument)
    var address: EmailAddress
    @Flag(help: "Yes, all mail of this user shall be deleted.")
    var yes = false
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if !yes { throw ValidationError("all mail of \(address) would be deleted for good; add --yes if that is meant") }
    }

    func execute() async throws {
        let user = address.lowercased
        try await options.load().openMailboxes().removeUser(user)
        try output.show(UserResult(user: user.description, action: "removed")) { "removed \(user)" }
    }
}

/// `postern user passwd`.
struct UserPasswordCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "passwd", abstract: "Set a user's password.")

    @Argument(help: "The user's address.", transform: EmailAddress.argument)
    var address: EmailAddress
    @OptionGroup var password: PasswordOptions
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let user = address.lowercased
        let store = try await options.load().openMailboxes()
        guard try await store.verifier(forUser: user) != nil else { throw CommandFailure(.notFound, "there is no user \(user)") }
        try await store.setVerifier(password.verifier(for: user), forUser: user)
        try output.show(UserResult(user: user.description, action: "password set")) { "set the password of \(user)" }
    }
}

/// `postern alias`.
struct AliasCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alias", abstract: "Manage addresses that lead to others.",
        subcommands: [AliasAddCommand.self, AliasListCommand.self, AliasRemoveCommand.self])
}

private struct AliasResult: Encodable {
    var alias: String
    var targets: [String]
}

/// `postern alias add`.
struct AliasAddCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Let an address lead to others, in place of what it led to before.",
        discussion: "The alias *@domain catches everything that the domain has no other address for.")

    @Argument(help: "The address.", transform: EmailAddress.argument)
    var alias: EmailAddress
    @Argument(help: "Where it leads: users, or addresses elsewhere.", transform: EmailAddress.argument)
    var targets: [EmailAddress]
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let loaded = try options.load()
        guard loaded.domains.contains(where: { $0.ascii == alias.domain }) else {
            throw CommandFailure(.badData, "\(alias.domain) is none of the organisation's domains; an alias there would never be asked for")
        }
        guard !targets.map(\.lowercased).contains(alias.lowercased) else {
            throw CommandFailure(.badData, "\(alias) would lead to itself")
        }
        try await loaded.openMailboxes().setAlias(alias.lowercased, targets: targets)
        try output.show(AliasResult(alias: alias.lowercased.description, targets: targets.map(\.description))) {
            "\(alias.lowercased) leads to \(targets.map(\.description).joined(separator: ", "))"
        }
    }
}

/// `postern alias list`.
struct AliasListCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the aliases.")

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let aliases = try await options.load().openMailboxes().aliases()
            .map { AliasResult(alias: $0.alias.description, targets: $0.targets.map(\.description)) }
            .sorted { $0.alias < $1.alias }
        try output.show(["aliases": aliases]) {
            aliases.map { "\($0.alias) → \($0.targets.joined(separator: ", "))" }.joined(separator: "\n")
        }
    }
}

/// `postern alias remove`.
struct AliasRemoveCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "Remove an alias.")

    @Argument(help: "The address.", transform: EmailAddress.argument)
    var alias: EmailAddress
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        try await options.load().openMailboxes().removeAlias(alias.lowercased)
        try output.show(AliasResult(alias: alias.lowercased.description, targets: [])) { "removed \(alias.lowercased)" }
    }
}
