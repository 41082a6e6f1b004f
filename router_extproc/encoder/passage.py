"""A text that guards look at: where it stands, and what the encoder reads of it, once somebody asks."""

from collections.abc import Callable
from functools import cached_property

from router_extproc.encoder.session import Reading, Tokens


class Passage:
    """`text` begins at the character `start` of a larger one. Not for several threads."""

    def __init__(self, text: str, start: int, read: Callable[[str], list[tuple[Tokens, Reading]]]) -> None:
        """`read` runs the encoder over all of a text; it is asked at most once."""
        self.text = text
        self.start = start
        self._read = read

    @cached_property
    def windows(self) -> list[tuple[Tokens, Reading]]:
        """What the encoder says of the text. A guard that brings a model of its own does not ask for it."""
        return self._read(self.text)
