"""How one exchange went, told as a whole once it is over: what traces, records and the debug log are made of.

Holds notes and times only, so nothing of a prompt, an answer or a credential.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from router_extproc.exchange.effects import Note, ScreenAnswer, Store
from router_extproc.exchange.notes import Opened
from router_extproc.ports import Deed

MAX_PARTS: Final = 256
"""Notes and deeds of one exchange that are kept. An ordinary one has a dozen; what a bound keeps out is a bug
elsewhere that would otherwise cost memory for as long as a stream lives."""

N = TypeVar("N")


@dataclass(frozen=True, slots=True)
class Seen:
    """`at` in Unix seconds."""

    note: Note
    at: float


@dataclass(frozen=True, slots=True)
class Done:
    """As `ports.Witness.did` is told."""

    deed: Deed
    status: str
    began: float
    ended: float
    concluded: float
    entry: str | None = None


@dataclass(slots=True)
class Story:
    """Of an exchange that began with `opened` and ended at `ended` (Unix seconds). `replied` is the HTTP
    status of the router's own answer, 0 where it gave none."""

    opened: Opened
    seen: list[Seen] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    replied: int = 0
    ended: float = 0.0

    @property
    def kept(self) -> Done | None:
        """How the answer was handed over to be kept, None where it was not, or nobody took it."""
        deeds = (each for each in self.done if each.deed in (Store, ScreenAnswer))
        return next((each for each in deeds if each.status == "done"), None)

    def first(self, kind: type[N]) -> N | None:
        """The first note of `kind`."""
        return next((each.note for each in self.seen if isinstance(each.note, kind)), None)

    def all(self, kind: type[N]) -> list[N]:
        """Every note of `kind`, in order."""
        return [each.note for each in self.seen if isinstance(each.note, kind)]

    def seconds(self, deed: Deed) -> float | None:
        """What all deeds of this kind took, None where there was none."""
        took = [each.ended - each.began for each in self.done if each.deed is deed]
        return sum(took) if took else None


Teller = Callable[[Story], None]
"""Does something with a story: returns at once, and must not raise."""


class StoryWitness:
    """Implements `ports.Witness`: collects, and gives the story to each of `tellers` when it is over. Of an
    exchange that was none of the router's business there is none."""

    __slots__ = ("_story", "_tellers")

    def __init__(self, tellers: Sequence[Teller]) -> None:
        self._tellers = tellers
        self._story: Story | None = None

    def saw(self, note: Note, at: float) -> None:
        if isinstance(note, Opened):
            self._story = Story(note)
        elif self._story is not None and len(self._story.seen) < MAX_PARTS:
            self._story.seen.append(Seen(note, at))

    def did(
        self,
        deed: Deed,
        status: str,
        began: float,
        ended: float,
        concluded: float,
        entry: str | None = None,
    ) -> None:
        if self._story is not None and len(self._story.done) < MAX_PARTS:
            self._story.done.append(Done(deed, status, began, ended, concluded, entry))

    def replied(self, status: int) -> None:
        if self._story is not None:
            self._story.replied = status

    def over(self, at: float) -> None:
        story, self._story = self._story, None
        if story is not None:
            story.ended = at
            for tell in self._tellers:
                tell(story)
