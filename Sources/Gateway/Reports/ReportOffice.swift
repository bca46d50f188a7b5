import FoundationEssentials
public import Logging
import MailStore
import NIOPosix

/// The reports of a host, for an operator's command; the host may be running meanwhile.
public struct ReportOffice: Sendable {
    private let host: Host
    private let service: ReportService

    /// Opens the host's folder.
    /// - Throws: what an operator has to mend.
    public static func open(_ configuration: Configuration, logger: Logger) async throws -> ReportOffice {
        guard configuration.reports != nil else { throw HostError("the configuration has no section “reports”") }
        // What a filter has counted leaves by the filter's queue.
        let filter = configuration.filterSendsReports ? configuration.milter : nil
        let configuration = filter.map { configuration.filterOffice($0) } ?? configuration
        let host = try await Host(configuration: configuration, group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        do {
            // A queue that runs finds what another process has put into the spool.
            guard let service = try host.reportService(isFilter: filter != nil, now: { .now }, offer: { _ in }) else {
                throw HostError("reports are made by the host with the role store, which collects the journeys, and by postern milter; run this there")
            }
            return ReportOffice(host: host, service: service)
        } catch {
            try await host.close()
            throw error
        }
    }

    /// Sends what is due now, without waiting for the hour.
    /// - Parameters:
    ///   - day: one day, as ``ReportDay`` counts; `nil`: all days before today.
    ///   - isTrial: nothing is sent or changed.
    public func send(day: Int?, isTrial: Bool) async throws -> [ReportSending] {
        let days = day.map { SpoolStore.ReportDays.only($0) } ?? .through(ReportDay.containing(.now) - 1)
        if !isTrial {
            try await service.accountant.run()
            try await service.dispatch.close(service.kinds, days)
            return try await service.dispatch.sendDue()
        }
        return try await service.dispatch.preview(service.kinds, days)
    }

    /// Closes what was opened.
    public func close() async throws { try await host.close() }
}
