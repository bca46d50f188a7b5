import FoundationEssentials
import Logging
import TransportSecurity

extension PKIXRoots {
    /// The system's authorities.
    static let systemFile = "/etc/ssl/certs/ca-certificates.crt"

    /// The authorities of the system and those that the configuration adds. A file that can't be read is said in the log, and is missed.
    static func trusted(by configuration: Configuration, logger: Logger) -> PKIXRoots {
        var certificates: [[UInt8]] = []
        for file in [systemFile] + configuration.authorities {
            do {
                certificates += try PEMCertificates.parse(Array(Data(contentsOf: URL(filePath: file))))
            } catch {
                logger.warning("no authorities can be read", metadata: ["file": "\(file)", "error": "\(error)"])
            }
        }
        return PKIXRoots(certificates: certificates)
    }
}
