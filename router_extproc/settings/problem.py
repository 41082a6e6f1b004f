"""What is wrong with a configuration, or worth saying about it, and where in the file."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

Loc = tuple[int | str, ...]
"""A place in a document: keys and indices from the top."""


class Severity(Enum):
    """`IDLE`: a key without effect. It is an error in a file of our own form, where it can only be a mistake,
    and a warning in another router's, where it meant something."""

    ERROR = auto()
    IDLE = auto()
    WARNING = auto()


@dataclass(frozen=True, slots=True)
class Problem:
    """`text` names the cure. `loc` of an idle one is what can be removed without changing anything. `file` is
    another file that it is in than the configuration itself."""

    loc: Loc
    text: str
    severity: Severity = Severity.ERROR
    file: str = ""

    def __str__(self) -> str:
        return f"{_in_file(self.file, path_of(self.loc))}: {self.text}"


@dataclass(frozen=True, slots=True)
class Notice:
    """A key of the user's file that does nothing here (`inert`), or not what its author may expect. `kind` is
    the same for the same remark about several keys of a section, or of such sections. `file` is another file
    that it is in than the configuration itself."""

    loc: Loc
    text: str
    inert: bool = True
    file: str = ""

    @property
    def path(self) -> str:
        return _in_file(self.file, path_of(self.loc))

    @property
    def kind(self) -> tuple[str, str, str]:
        return self.file, pattern_of(self.loc[:-1]), self.text

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def _in_file(file: str, path: str) -> str:
    return ": ".join(part for part in (file, path) if part)


def path_of(loc: Loc) -> str:
    """`categories[0].model_scores[1].model`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def pattern_of(loc: Loc) -> str:
    """The path with `*` for each index, and for the name of a model."""
    parts = ["*" if isinstance(part, int) else part for part in loc]
    if len(parts) > 1 and parts[0] == "model_config":
        parts[1] = "*"
    return ".".join(parts)


def nearest(word: object, names: Iterable[str], *, else_say: str = "") -> str:
    """`; did you mean NAME?`, or `else_say` when no name is near."""
    close = difflib.get_close_matches(str(word), sorted(set(names)), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else else_say


def unknown_key(word: object, names: Iterable[str]) -> str:
    """The text about a key that nobody knows, where `names` would have been right."""
    names = sorted(set(names))
    listed = f"; valid keys here are {', '.join(names)}" if names else ""
    return f"unknown key{nearest(word, names, else_say=listed)}"


def grouped(notices: Iterable[Notice]) -> list[str]:
    """One line for each remark: the first section it is about, with the keys, and how many more there are."""
    remarks: dict[tuple[str, str, str], dict[Loc, list[int | str]]] = {}
    for notice in notices:
        sections = remarks.setdefault(notice.kind, {})
        sections.setdefault(notice.loc[:-1], []).append(notice.loc[-1])
    return [
        f"{_in_file(file, _first(sections))}"
        f"{f' and {len(sections) - 1} more' if len(sections) > 1 else ''}: {text}"
        for (file, _, text), sections in remarks.items()
    ]


def _first(sections: dict[Loc, list[int | str]]) -> str:
    section, keys = next(iter(sections.items()))
    if len(keys) == 1:
        return path_of((*section, keys[0]))
    named = ", ".join(map(str, keys))
    if not section:
        return named
    return f"{path_of(section)}[{named}]" if isinstance(keys[0], int) else f"{path_of(section)}.{{{named}}}"
