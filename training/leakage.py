"""Which texts to be fitted on are nearly those that are measured: `python -m training.leakage --data DIR`.

Two texts are near when they share half of their runs of five words (Broder 1997, resemblance by shingles), or
are the same words altogether. Linear in the texts' lengths, and no model: one that was fitted could not be
trusted to find its own leaks.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from training.sources import read_rows

RUN = 5
SHARE = 0.5
WORD = re.compile(r"\w+")
COMMON = 50
"""A run in more measured texts than this is a phrase ("which of the following is the") and leads to
none of them; two texts that share a rarer one are compared whole."""


class Held:
    """The measured texts, indexed."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._runs: list[frozenset[str]] = [runs(text) for text in texts]
        self._where: dict[str, list[int]] = defaultdict(list)
        for place, found in enumerate(self._runs):
            for run in found:
                self._where[run].append(place)

    def resemblance(self, text: str) -> float:
        """The greatest to any measured text, in [0, 1]."""
        own = runs(text)
        rare = (places for run in own if len(places := self._where.get(run, [])) <= COMMON)
        candidates = {place for places in rare for place in places}
        shared = ((len(own & self._runs[place]), len(own | self._runs[place])) for place in candidates)
        return max((n / whole for n, whole in shared), default=0.0)

    def is_near(self, text: str) -> bool:
        return self.resemblance(text) >= SHARE


def runs(text: str) -> frozenset[str]:
    """Runs of `RUN` words; of a text with fewer, all of it."""
    words = WORD.findall(text.lower())
    if len(words) < RUN:
        return frozenset([" ".join(words)]) if words else frozenset()
    return frozenset(" ".join(words[start : start + RUN]) for start in range(len(words) - RUN + 1))


def texts_of(path: Path) -> list[str]:
    """The texts of a set's rows, whatever its form."""
    return [
        text for row in read_rows(path) for key in ("text", "a", "b", "prompt") if (text := _text(row, key))
    ]


def _text(row: dict[str, object], key: str) -> str:
    found = row.get(key, "")
    return found.split("\nA. ")[0] if isinstance(found, str) else ""


def report(data: Path) -> str:
    """A table: of each set that is fitted on, how many rows are near one that is measured."""
    held = {path.name: Held(texts_of(path)) for path in sorted((data / "eval").glob("*.jsonl"))}
    lines = ["| fitted on | measured on | texts | near |", "| --- | --- | --- | --- |"]
    for path in sorted((data / "train").glob("*.jsonl")):
        texts = texts_of(path)
        for name, index in held.items():
            if near := sum(map(index.is_near, texts)):
                lines.append(f"| {path.name} | {name} | {len(texts)} | {near} |")
    return "\n".join(lines)


def without_near(texts: Sequence[str], held: Held) -> list[int]:
    """The places of the texts that are near none of `held`."""
    return [place for place, text in enumerate(texts) if not held.is_near(text)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.leakage", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and eval/")
    sys.stdout.write(report(parser.parse_args(arguments).data) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
