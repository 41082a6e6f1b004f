"""Whether a model says nothing at all any more, though its connections stand. It knows no clock, no pool."""

IMPATIENT_SECONDS = 1.0
"""A client that leaves earlier has not waited for the model."""


class Silence:
    """From the first request that got nothing until anything is heard of the model: a first token, the end of
    an answer, an error. What one request waits for says little, because one long answer that is not streamed
    comes at its end; that nobody gets anything says more."""

    __slots__ = ("_left", "_since")

    def __init__(self) -> None:
        self._since: float | None = None
        self._left = 0

    def sent(self, at: float) -> None:
        """A request goes out."""
        if self._since is None:
            self._since = at

    def heard(self, at: float, *, others: bool) -> None:
        """The model said something; `others` still wait."""
        self._since = at if others else None
        self._left = 0

    def left(self, waited: float) -> None:
        """A client left that had got nothing in `waited` seconds."""
        if waited >= IMPATIENT_SECONDS:
            self._left += 1

    def lasted(self, at: float, seconds: float) -> bool:
        return self._since is not None and at - self._since >= seconds

    def victims(self, waiting: int) -> int:
        """How many got nothing, `waiting` of them still there."""
        return waiting + self._left

    def forget(self) -> None:
        """Drawn its conclusion from: the next request begins anew."""
        self._since = None
        self._left = 0
