"""What is counted of the certificates of the router's listeners."""

from router_extproc.telemetry.collectors import Collectors
from router_extproc.telemetry.labels import Listening, Renewal


class CertificateMetrics:
    """On `collectors`, which have the metrics of `table_own.CERTIFICATES`."""

    def __init__(self, collectors: Collectors) -> None:
        self._collectors = collectors

    def certified(self, listening: Listening, expires: float) -> None:
        """A listener's certificates are in use; the first of them ends at `expires`, seconds since 1970."""
        self._collectors.set("router_certificate_expiry_timestamp_seconds", expires, listening)

    def renewed(self, listening: Listening, outcome: Renewal) -> None:
        """The files of a listener's certificates changed."""
        self._collectors.count("router_certificate_reloads_total", listening, outcome)
