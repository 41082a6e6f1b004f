"""Are the licences of everything the product needs ones that we accept? `python -m deploy.supply.licences`.

Looks at the installed distributions that the product's own dependencies lead to, in all its extras that users
install; tools of the developers are not given on. Needs no network. What is accepted, and which packages are
accepted for a reason of their own, is `tool.licences` in `pyproject.toml`.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"
EXTRAS: Final = ("local", "page")

WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "3-clause bsd license": "BSD-3-Clause",
        "apache 2.0": "Apache-2.0",
        "apache 2.0 license": "Apache-2.0",
        "apache software license": "Apache-2.0",
        "bsd license": "BSD-3-Clause",
        "gnu general public license (gpl)": "GPL-1.0-or-later",
        "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.1-or-later",
        "isc license": "ISC",
        "isc license (iscl)": "ISC",
        "lgpl": "LGPL-2.1-or-later",
        "mit license": "MIT",
        "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
        "public domain": "LicenseRef-Public-Domain",
        "python software foundation license": "PSF-2.0",
    }
)
"""What stood in metadata before there were SPDX expressions (PEP 639)."""

TOKEN: Final = re.compile(r"\s*(\(|\)|[A-Za-z0-9.+-]+)")


@dataclass(frozen=True, slots=True)
class Policy:
    """`allow` are SPDX identifiers; `packages` maps canonical names to why they are accepted as they are."""

    allow: frozenset[str]
    packages: Mapping[str, str]


def expression_of(about: Message) -> str:
    """One SPDX expression; "" where nothing is said that is understood. Where several licences are listed and
    nobody says how they go together, all of them count."""
    written = str(about.get("License-Expression") or "")
    if written:
        return written
    text = str(about.get("License") or "").strip()
    if text and "\n" not in text:
        known = WORDS.get(text.lower(), text)
        if all(
            token in ("AND", "OR", "WITH") or "-" in token or token in ("MIT", "ISC")
            for token in known.split()
        ):
            return known
    listed = [str(each) for each in about.get_all("Classifier") or () if str(each).startswith("License ::")]
    names = [each.rpartition(" :: ")[2].lower() for each in listed]
    return " AND ".join(WORDS.get(name, "LicenseRef-Unknown") for name in names)


def accepted(expression: str, allow: frozenset[str]) -> bool:
    """Whether one may take what the expression offers with licences of `allow` alone: OR offers a choice, AND
    does not. False for what is no expression."""
    tokens = TOKEN.findall(expression)
    if not tokens or "".join(tokens) != re.sub(r"\s", "", expression):
        return False
    try:
        verdict, rest = _either(tokens, allow)
    except IndexError:
        return False
    return verdict and not rest


def _either(tokens: Sequence[str], allow: frozenset[str]) -> tuple[bool, Sequence[str]]:
    verdict, rest = _both(tokens, allow)
    while rest and rest[0] == "OR":
        other, rest = _both(rest[1:], allow)
        verdict = verdict or other
    return verdict, rest


def _both(tokens: Sequence[str], allow: frozenset[str]) -> tuple[bool, Sequence[str]]:
    verdict, rest = _one(tokens, allow)
    while rest and rest[0] == "AND":
        other, rest = _one(rest[1:], allow)
        verdict = verdict and other
    return verdict, rest


def _one(tokens: Sequence[str], allow: frozenset[str]) -> tuple[bool, Sequence[str]]:
    if tokens[0] != "(":
        # An exception only gives more than the licence does.
        after = 3 if tokens[1:2] == ["WITH"] else 1
        return tokens[0] in allow, tokens[after:]
    verdict, rest = _either(tokens[1:], allow)
    if rest[0] != ")":
        raise IndexError
    return verdict, rest[1:]


def needed(requirements: Sequence[str]) -> Iterator[metadata.Distribution]:
    """Every installed distribution that `requirements` lead to, once. Raises PackageNotFoundError."""
    waiting = [Requirement(each) for each in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    told: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found = metadata.distribution(name)
        if name not in told:
            told.add(name)
            yield found
        for line in found.requires or ():
            more = Requirement(line)
            if more.marker is None or any(more.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append(more)


def problems(policy: Policy, distributions: Sequence[metadata.Distribution]) -> Iterator[str]:
    """One line for each that is not accepted, and for each exception that is not needed."""
    names: set[str] = set()
    for each in distributions:
        name = canonicalize_name(each.metadata["Name"])
        expression = expression_of(cast("Message", each.metadata))
        names.add(name)
        if accepted(expression, policy.allow):
            if name in policy.packages:
                yield f"{name}: needs no exception; remove it from tool.licences.packages"
        elif name not in policy.packages:
            said = expression or "nothing that is understood"
            yield f"{name} {each.version}: metadata says {said}; accept it in tool.licences, or do without"
    for needless in policy.packages.keys() - names:
        yield f"{needless}: has an exception and is not needed; remove it from tool.licences.packages"


def main() -> int:
    document = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    project, given = document["project"], document["tool"]["licences"]
    extras = [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    distributions = list(needed([*project["dependencies"], *extras]))
    found = list(problems(Policy(frozenset(given["allow"]), given["packages"]), distributions))
    for line in found:
        sys.stderr.write(f"licences: {line}\n")
    sys.stdout.write(f"licences: {len(distributions)} distributions, {len(found)} problems\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
