import MailMessage
import SASL
import Testing

@testable import MailStore

private let verifier = SCRAMVerifier(salt: [1, 2], iterations: 4096, storedKey: [3], serverKey: [4])

private func address(_ text: String) -> EmailAddress { EmailAddress(storeKey: text) }

@Suite struct AddressResolutionTests {
    /// Who gets the mail for an address, in a line: `user+detail`, remote ones with an arrow.
    private func resolved(_ store: MailboxStore, _ text: String) async throws -> String {
        try await store.resolve(address(text)).map { found in
            switch found.target {
            case .user(let user): "\(user.localPart)@\(user.domain)" + (found.detail.map { "+\($0)" } ?? "")
            case .remote(let remote): "→\(remote.localPart)@\(remote.domain)"
            }
        }.joined(separator: " ")
    }

    private func withStore(separator: String = "+", _ body: (MailboxStore) async throws -> Void) async throws {
        try await withFolder { folder in
            let store = try await MailboxStore.open(folder: folder, subaddressSeparator: separator)
            for user in ["bob@k.test", "jack@k.test", "bob+own@k.test"] { try await store.addUser(address(user), verifier: verifier) }
            try await body(store)
            try await store.close()
        }
    }

    /// User, then exact alias, then sub-address, then the domain's catch-all.
    @Test func order() async throws {
        try await withStore { store async throws in
            let aliases: [(String, [String])] = [
                // Never reached: the user comes first.
                ("bob@k.test", ["jack@k.test"]),
                ("bob+lists@k.test", ["jack@k.test"]), ("sales@k.test", ["bob@k.test", "jack@k.test"]), ("*@k.test", ["jack@k.test"]),
                ("*@all.test", ["bob@k.test"]), ("real@all.test", ["jack@k.test"]),
            ]
            for (alias, targets) in aliases { try await store.setAlias(address(alias), targets: targets.map(address)) }
            for (text, expected) in [
                ("bob@k.test", "bob@k.test"), ("BOB@K.TEST", "bob@k.test"), ("bob+own@k.test", "bob+own@k.test"), ("bob+lists@k.test", "jack@k.test"),
                ("bob+other@k.test", "bob@k.test+other"), ("bob+Other+more@k.test", "bob@k.test+Other+more"), ("bob+@k.test", "bob@k.test+"),
                ("sales@k.test", "bob@k.test jack@k.test"), ("sales+x@k.test", "bob@k.test+x jack@k.test+x"), ("nobody@k.test", "jack@k.test"),
                ("+x@k.test", "jack@k.test"), ("nobody+x@k.test", "jack@k.test"), ("any@all.test", "bob@k.test"), ("real@all.test", "jack@k.test"),
                ("any@other.test", ""), ("any@sub.all.test", ""),
            ] { #expect(try await resolved(store, text) == expected, "\(text)") }
            try await store.removeAlias(address("*@k.test"))
            #expect(try await resolved(store, "nobody@k.test") == "")
            let error = await #expect(throws: StoreError.self) { try await store.removeAlias(address("*@k.test")) }
            #expect(error?.code == .notFound)
        }
    }

    /// RFC 5321 §4.5.1: mail for the postmaster reaches somebody, whether or not anybody was named.
    @Test func aDomainHasAPostmaster() async throws {
        try await withStore { store async throws in
            #expect(try await resolved(store, "postmaster@k.test") == "bob@k.test")
            #expect(try await resolved(store, "PostMaster@K.TEST") == "bob@k.test")
            #expect(try await resolved(store, "postmaster@other.test") == "")
            #expect(try await store.allAddresses().addresses.map(\.localPart).sorted() == ["bob", "bob+own", "jack", "postmaster"])
            try await store.setAlias(address("postmaster@k.test"), targets: [address("jack@k.test")])
            #expect(try await resolved(store, "postmaster@k.test") == "jack@k.test")
            #expect(try await store.allAddresses().addresses.map(\.localPart).sorted() == ["bob", "bob+own", "jack", "postmaster"])
        }
    }

    @Test func otherSeparatorOrNone() async throws {
        try await withStore(separator: "-") { store async throws in
            #expect(try await resolved(store, "bob-x@k.test") == "bob@k.test+x")
            #expect(try await resolved(store, "bob+x@k.test") == "")
        }
        try await withStore(separator: "") { store async throws in
            #expect(try await resolved(store, "bob+x@k.test") == "")
            #expect(try await resolved(store, "bob@k.test") == "bob@k.test")
        }
    }

    @Test func tenAliasesInARowAndNoMore() async throws {
        try await withStore { store async throws in
            for step in 0..<11 {
                try await store.setAlias(address("a\(step)@k.test"), targets: [address(step == 10 ? "bob@k.test" : "a\(step + 1)@k.test")])
            }
            #expect(try await resolved(store, "a1@k.test") == "bob@k.test")
            #expect(try await resolved(store, "a0@k.test") == "")
        }
    }

    @Test func circles() async throws {
        try await withStore { store async throws in
            for (alias, targets) in [
                ("self@k.test", ["self@k.test"]), ("x@k.test", ["y@k.test", "bob@k.test"]), ("y@k.test", ["x@k.test", "jack@k.test"]),
                ("two@k.test", ["left@k.test", "right@k.test"]), ("left@k.test", ["bob@k.test"]), ("right@k.test", ["bob@k.test"]),
                ("*@loop.test", ["more@loop.test"]),
            ] { try await store.setAlias(address(alias), targets: targets.map(address)) }
            #expect(try await resolved(store, "self@k.test") == "")
            #expect(try await resolved(store, "x@k.test") == "jack@k.test bob@k.test")
            // Two ways to the same mailbox are one delivery.
            #expect(try await resolved(store, "two@k.test") == "bob@k.test")
            #expect(try await resolved(store, "any@loop.test") == "")
        }
    }

    @Test func manyTargetsAreNotFollowedTwice() async throws {
        try await withStore { store async throws in
            // Each alias of a level leads to all of the next: ten to the power of nine ways, ninety addresses.
            for level in 0..<9 {
                for number in 0..<10 {
                    let targets = level == 8 ? ["bob@k.test"] : (0..<10).map { "l\(level + 1)n\($0)@k.test" }
                    try await store.setAlias(address("l\(level)n\(number)@k.test"), targets: targets.map(address))
                }
            }
            #expect(try await resolved(store, "l0n0@k.test") == "bob@k.test")
        }
    }

    @Test func targetsElsewhere() async throws {
        try await withStore { store async throws in
            try await store.setAlias(address("out@k.test"), targets: [EmailAddress(localPart: "Mike", domain: "gmail.test"), address("bob+x@k.test")])
            // Case is kept for others: it is theirs to judge.
            #expect(try await resolved(store, "out@k.test") == "→Mike@gmail.test bob@k.test+x")
            #expect(try await store.aliases().map(\.targets.count) == [2])
            await #expect(throws: StoreError.self) { try await store.setAlias(address("out@k.test"), targets: []) }
            try await store.setAlias(address("OUT@k.test"), targets: [address("bob@k.test")])
            #expect(try await resolved(store, "out@k.test") == "bob@k.test")
        }
    }

    @Test func versionGrowsWithEachChange() async throws {
        try await withStore { store async throws in
            var last = try await store.accountsVersion()
            let changes: [@Sendable () async throws -> Void] = [
                { try await store.addUser(address("tom@k.test"), verifier: verifier) },
                { try await store.setAlias(address("a@k.test"), targets: [address("tom@k.test")]) },
                { try await store.removeAlias(address("a@k.test")) }, { try await store.removeUser(address("tom@k.test")) },
            ]
            for change in changes {
                try await change()
                let version = try await store.accountsVersion()
                #expect(version > last)
                last = version
            }
            #expect(try await Set(store.users().map(\.localPart)) == ["bob", "bob+own", "jack"])
            let error = await #expect(throws: StoreError.self) { try await store.removeUser(address("tom@k.test")) }
            #expect(error?.code == .notFound)
        }
    }
}
