extension Envelope {
    /// The envelope as JSON, as `JSONDecoder` reads it.
    package var json: [UInt8] {
        var writer = JSONWriter(reserving: 128)
        writer.object {
            $0.field("reversePath", reversePath?.description)
            $0.array("recipients") { writer in
                for recipient in recipients { recipient.write(into: &writer) }
            }
            $0.field("bodyType", bodyType.rawValue)
            $0.field("usesSMTPUTF8", usesSMTPUTF8)
            $0.field("envelopeID", envelopeID)
            $0.field("dsnReturn", dsnReturn?.rawValue)
            $0.field("requiresTLS", requiresTLS)
        }
        return writer.octets
    }
}

extension EnvelopeRecipient {
    /// The recipient as JSON, as `JSONDecoder` reads it.
    package var json: [UInt8] {
        var writer = JSONWriter(reserving: 256)
        write(into: &writer)
        return writer.octets
    }

    fileprivate func write(into writer: inout JSONWriter) {
        writer.object {
            $0.field("address", address.description)
            $0.field("notify", notify.map { Int($0.rawValue) })
            $0.field("originalRecipient", originalRecipient)
        }
    }
}
