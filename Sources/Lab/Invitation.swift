extension Kartapuce {
    /// Where a mail program connects, as text for the terminal.
    public nonisolated var invitation: String {
        // What is in a namespace is reached from a namespace: everything below then works after this prefix.
        let prefix = plan.launcher(at: plan.bobsLaptop).joined(separator: " ")
        let place = prefix.isEmpty ? "" : ", started on Bob's laptop (put this before its command: \(prefix))"
        let people = Kartapuce.people.map { "    \($0.user)   password: \($0.password)" }.joined(separator: "\n")
        return """
            Kartapuce is up. Connect a mail program of this machine\(place):

              Users
            \(people)
              Read mail     IMAPS              \(plan.imap) port 993      (imap.kartapuce.test; 143 with STARTTLS)
              Send outside  SMTP over TLS      \(plan.msa) port 465      (msa.kartapuce.test; 587 with STARTTLS)
              Send inside   SMTP over TLS      \(plan.internalsmtp) port 465      (internalsmtp.kartapuce.test; 587 with STARTTLS)
              Webmail       HTTPS              \(plan.webmail) port 443      (https://webmail.kartapuce.test; "to be avoided", says the picture)
              Tom, Alice and Mike are \(MailProvider.users.map { "\($0)@\(LabNames.providerDomain)" }.joined(separator: ", ")) at \(plan.provider) port 25
              Trust this authority: \(authorityFile)

              For example:
                curl --cacert \(authorityFile) --resolve imap.kartapuce.test:993:\(plan.imap) \\
                     --user \(Kartapuce.bob.user):\(Kartapuce.bob.password) "imaps://imap.kartapuce.test/INBOX;UID=*"
                \(binary) trace --config \(folder)/imap/postern.yaml --recipient \(Kartapuce.bob.user)
                \(binary) queue list --config \(folder)/smtp/postern.yaml

              Names:  dig @\(plan.nsresolve) +dnssec kartapuce.test MX
              Hosts' configurations, logs and data: \(folder)
              Webmail: chromium --host-resolver-rules="MAP webmail.kartapuce.test \(plan.webmail)" https://webmail.kartapuce.test/
            """
    }
}
