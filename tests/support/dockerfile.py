"""A Dockerfile as data, and which files of a folder its build may see. Knows nothing of what is built.

Owns as much of the language as deploy/Dockerfile uses: instructions over several lines, comments, stages,
flags, the exec form. A here-document or an ADD is an error, not a guess.
"""

import fnmatch
import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

KNOWN = frozenset({"CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "RUN", "SHELL", "USER", "WORKDIR"})
_FLAG = re.compile(r"--([a-z]+)=(\S+)\s+")


@dataclass(frozen=True, slots=True)
class Instruction:
    """`flags` are those before the arguments, `text` is what follows them, on one line."""

    name: str
    text: str
    flags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def words(self) -> tuple[str, ...]:
        """Of the exec form its items, otherwise the words as a shell splits them."""
        if self.text.startswith("["):
            return tuple(str(word) for word in json.loads(self.text))
        return tuple(shlex.split(self.text))


@dataclass(frozen=True, slots=True)
class Stage:
    """`base` is an image, or the name of an earlier stage."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def last(self, name: str) -> Instruction | None:
        found = [each for each in self.instructions if each.name == name]
        return found[-1] if found else None

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        pairs = (word for each in self.instructions if each.name == "ENV" for word in each.words)
        return dict(pair.split("=", 1) for pair in pairs)


def read_stages(path: Path) -> tuple[Stage, ...]:
    """Raises ValueError for what is not understood here."""
    stages: list[Stage] = []
    for each in _instructions(path.read_text(encoding="utf-8")):
        if each.name == "FROM":
            base, _, name = each.words
            stages.append(Stage(name, base, ()))
        else:
            last = stages.pop()
            stages.append(Stage(last.name, last.base, (*last.instructions, each)))
    return tuple(stages)


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "")
    found = []
    for line in joined.splitlines():
        if not line.strip():
            continue
        name, _, rest = line.strip().partition(" ")
        if name not in KNOWN or "<<" in rest:
            raise ValueError(f"not understood: {line}")
        flags, rest = {}, rest.strip()
        while flag := _FLAG.match(rest):
            flags[flag[1]] = flag[2]
            rest = rest[flag.end() :]
        found.append(Instruction(name, rest, flags))
    return found


def context(folder: Path, ignore: Sequence[str]) -> tuple[Path, ...]:
    """Every file below `folder` that a build may see, relative to it; `ignore` has the lines of its
    .dockerignore. The last line that matches a file, or a folder it is in, decides; `!` lets it in."""
    rules = [line.strip() for line in ignore if line.strip() and not line.startswith("#")]
    let_in = [Path(rule[1:].strip("/")) for rule in rules if rule.startswith("!")]
    found: list[Path] = []
    for here, folders, files in os.walk(folder):
        place = Path(here).relative_to(folder)
        # Not entered: an ignored folder in which nothing is let in, such as a virtual environment.
        folders[:] = [
            name
            for name in folders
            if not _ignored(place / name, rules) or any(place / name in each.parents for each in let_in)
        ]
        found += [place / name for name in files if not _ignored(place / name, rules)]
    return tuple(sorted(found))


def _ignored(path: Path, rules: Sequence[str]) -> bool:
    ignored = False
    for rule in rules:
        lets_in = rule.startswith("!")
        if ignored == lets_in and _matches(path, rule.removeprefix("!").strip("/")):
            ignored = not lets_in
    return ignored


def _matches(path: Path, pattern: str) -> bool:
    places = ["/".join(path.parts[:count]) for count in range(1, len(path.parts) + 1)]
    return any(_expression(pattern).fullmatch(place) for place in places)


def _expression(pattern: str) -> re.Pattern[str]:
    """`**` is any number of folders, `*` and `?` stay in one (https://pkg.go.dev/path/filepath#Match)."""
    parts = pattern.split("/")
    translated = [
        "(?:[^/]+/)*" if part == "**" else fnmatch.translate(part).removesuffix(r"\Z").replace(".*", "[^/]*")
        for part in parts
    ]
    joined = ""
    for part, text in zip(parts, translated, strict=True):
        joined += text if part == "**" else f"{text}/"
    return re.compile(joined.removesuffix("/"))
