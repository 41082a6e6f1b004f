"""When to stop asking a backend that fails, and when to try it again. Pure: time is an argument."""


class Breaker:
    """Opens after `threshold` failures in a row; while open it grants one probe per delay.

    The delay starts at `first_delay` seconds and doubles with each failed probe up to `longest_delay`, so
    that a backend down for hours is tried rarely and one that restarts is found quickly. `now` is any
    clock in seconds that never goes back.
    """

    __slots__ = ("_delay", "_failures", "_first_delay", "_longest_delay", "_probe_at", "_threshold")

    def __init__(self, threshold: int, first_delay: float, longest_delay: float) -> None:
        self._threshold = threshold
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._delay = first_delay
        self._failures = 0
        self._probe_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self._probe_at is not None

    def succeeded(self) -> None:
        self._failures = 0
        self._probe_at = None
        self._delay = self._first_delay

    def failed(self, now: float) -> None:
        """Count a failed call. A failure reported while open is a straggler and changes nothing."""
        if self.is_open:
            return
        self._failures += 1
        if self._failures >= self._threshold:
            self.trip(now)

    def trip(self, now: float) -> None:
        """Open at once; the next probe is due after the current delay."""
        self._probe_at = now + self._delay

    def probe_failed(self, now: float) -> None:
        """The probe granted last found the backend still failing."""
        self._delay = min(2 * self._delay, self._longest_delay)
        self.trip(now)

    def grant_probe(self, now: float) -> bool:
        """True at most once per delay while open; whoever gets it reports `succeeded` or `probe_failed`."""
        if self._probe_at is None or now < self._probe_at:
            return False
        self._probe_at = now + self._delay
        return True
