"""Whether a model breaks off its answers. It knows no clock, no pool.

An answer that begins and does not end was broken off by the model, or its client left: Envoy ends our stream
in the same way for both. Clients leave now and then; that none stays to the end says something of the model.
"""

MANY = 8
"""Answers in a row without an end. If three clients in ten leave, it happens once in 15,000 answers."""


class Breaks:
    """Answers that began and did not end, since the last one that did."""

    __slots__ = ("_cut", "_run", "_since")

    def __init__(self) -> None:
        self._cut = False
        self._run = 0
        self._since = 0.0

    def broke(self, at: float) -> None:
        """An answer stopped at `at` seconds, before its end."""
        if self._run == 0:
            self._since = at
        self._run += 1

    def cut(self) -> None:
        """The model ended an answer that was not whole."""
        self._cut = True

    def ended(self) -> None:
        """A whole answer came to its end."""
        self._cut = False
        self._run = 0

    @property
    def beginnings_prove_nothing(self) -> bool:
        """Only a whole answer shows now that the model is well."""
        return self._cut or self.many

    @property
    def many(self) -> bool:
        return self._run >= MANY

    def lasted(self, at: float, seconds: float) -> bool:
        """Many, over at least so long: a client that leaves again and again must not be believed while
        others get their answers."""
        return self.many and at - self._since >= seconds
