import NIOCore

/// Messages as people send them, made from a number so that no two are alike.
enum SampleMail {
    private static let words = [
        "the", "numbers", "of", "this", "week", "are", "better", "than", "we", "thought", "please", "have", "a", "look", "at", "table",
        "three", "before", "friday", "and", "tell", "me", "what", "you", "think", "about", "grüße", "menu", "kitchen", "invoice",
    ]

    /// The header of a message that has come over two hosts.
    static func header(_ number: Int, contentType: String) -> String {
        """
        Received: from smtp.gmail.test ([203.0.113.\(number % 250)]) by mail.kartapuce.test (Postern) with ESMTPS id \(number);\r
        \tMon, 23 Nov 2026 21:19:03 +0000\r
        Received: from [192.0.2.7] by smtp.gmail.test with ESMTPSA; Mon, 23 Nov 2026 21:19:02 +0000\r
        From: =?utf-8?Q?Tom_Ch=C3=A2taignier?= <tom@gmail.test>\r
        To: Bob <bob@kartapuce.test>, "Jack, the other" <jack@kartapuce.test>\r
        Subject: Numbers of week \(number) =?utf-8?B?w7xiZXJhbGw=?=\r
        Date: Mon, 23 Nov 2026 21:19:0\(number % 10) +0000\r
        Message-ID: <\(number).\(number * 7919)@gmail.test>\r
        MIME-Version: 1.0\r
        Content-Type: \(contentType)\r
        Content-Transfer-Encoding: 8bit\r
        \r\n
        """
    }

    /// About so many octets of text in lines of 70.
    static func text(_ number: Int, octets: Int) -> String {
        var lines = ""
        lines.reserveCapacity(octets + 100)
        var line = ""
        var place = number
        while lines.utf8.count < octets {
            place = (place &* 1_103_515_245 &+ 12345) & 0x7fff_ffff
            line += words[(place >> 8) % words.count] + " "
            if line.utf8.count > 64 {
                lines += line + "\r\n"
                line = ""
            }
        }
        return lines
    }

    /// A plain message of about so many octets.
    static func plain(_ number: Int, octets: Int) -> ByteBuffer {
        let head = header(number, contentType: "text/plain; charset=utf-8")
        return ByteBuffer(string: head + text(number, octets: max(0, octets - head.utf8.count)))
    }

    /// A message with text in two forms and attachments in base64, each of about 100 KiB, of so many octets in all.
    static func multipart(_ number: Int, octets: Int) -> ByteBuffer {
        var buffer = ByteBuffer(string: header(number, contentType: "multipart/mixed; boundary=\"outer\""))
        buffer.writeString("--outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n")
        for type in ["text/plain", "text/html"] {
            buffer.writeString("--inner\r\nContent-Type: \(type); charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\(text(number, octets: 2000))")
        }
        buffer.writeString("--inner--\r\n")
        let line = String(repeating: "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0", count: 2) + "ABCD\r\n"
        let block = String(repeating: line, count: 1024)
        while buffer.readableBytes < octets {
            buffer.writeString(
                "--outer\r\nContent-Type: application/pdf; name=\"menu \(number).pdf\"\r\nContent-Transfer-Encoding: base64\r\n"
                    + "Content-Disposition: attachment; filename*=utf-8''men%C3%BC.pdf\r\n\r\n")
            buffer.writeString(String(block.prefix(min(block.utf8.count, max(78, octets - buffer.readableBytes)))))
            buffer.writeString("\r\n")
        }
        buffer.writeString("--outer--\r\n")
        return buffer
    }
}
