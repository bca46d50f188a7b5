import Testing

@testable import MailAuthentication

struct TagListTests {
    @Test func pairsKeepTheirOrderAndTheirPlace() throws {
        let text = " v=1; a = rsa-sha256 ;b=ab\r\n\tcd;"
        let list = try TagList(parsing: text)
        #expect(list.tags.map(\.name) == ["v", "a", "b"])
        #expect(list["a"] == "rsa-sha256")
        #expect(list["b"] == "ab\r\n\tcd")
        let tag = try #require(list.tag("b"))
        #expect(tag.compactValue == "abcd")
        #expect(Array(text.utf8)[tag.valueRange] == Array("ab\r\n\tcd".utf8)[...])
        #expect(list["c"] == nil)
    }

    @Test func emptyValuesAndListsAreAllowed() throws {
        #expect(try TagList(parsing: "p=").tags.first?.value == "")
        #expect(try TagList(parsing: "").tags.isEmpty)
        #expect(try TagList(parsing: " \r\n ").tags.isEmpty)
    }

    @Test(arguments: [
        ("v=1;;p=", TagListError.Problem.emptyTag), ("v=1; p", .noEqualsSign), ("=1", .invalidName), ("1a=x", .invalidName), ("a-b=x", .invalidName),
        ("v=1\u{7}", .invalidValue), ("v=1; v=1", .repeatedName("v")),
    ])
    func brokenListsAreRefused(text: String, problem: TagListError.Problem) {
        do {
            _ = try TagList(parsing: text)
            Issue.record("\(text) was read")
        } catch {
            #expect(error.problem == problem)
        }
    }

    @Test func octetsThatAreNoUTF8AreRefused() {
        #expect(throws: TagListError.self) { try TagList(parsing: Array("d=".utf8) + [0xFF]) }
        #expect(throws: Never.self) { try TagList(parsing: "d=bücher.example") }
    }

    @Test func moreTagsThanTheLimitAreRefused() {
        let text = (0...TagList.tagLimit).map { "a\($0)=x" }.joined(separator: ";")
        #expect(throws: TagListError.self) { try TagList(parsing: text) }
    }

    @Test func namesMayDifferBehindTheirEighthOctet() throws {
        let list = try TagList(parsing: "abcdefgh1=x; abcdefgh2=y; abcdefgh=z")
        #expect(list["abcdefgh1"] == "x")
        #expect(list["abcdefgh2"] == "y")
        #expect(list["abcdefgh"] == "z")
        #expect(list["abcdefgh3"] == nil)
        let error = #expect(throws: TagListError.self) { try TagList(parsing: "abcdefgh1=x; abcdefgh1=y") }
        #expect(error?.problem == .repeatedName("abcdefgh1"))
    }

    /// The first octets of a value are those of the whole value without blanks.
    @Test(arguments: ["", "a", "abcdefgh", "abcdefghi", " a\r\n b c\td ", "  ", "abc defg hij"], [0, 1, 3, 8, 20])
    func prefixesOfValues(_ value: String, _ count: Int) throws {
        let list = try TagList(parsing: "x=1; b=\(value); y=2")
        #expect(list.compactPrefix("b", count) == list.tag("b").map { String($0.compactValue.prefix(count)) })
        #expect(list.compactPrefix("z", count) == nil)
    }
}
