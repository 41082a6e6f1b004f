"""What a simulated model says: text that depends on the question and on nothing else. Pure.

The texts are made of a few sentence patterns. They vary in length and carry what is easily damaged on
the way to a client: lists, code fences, line ends, accents, symbols outside the Basic Multilingual Plane.
"""

import re
from collections.abc import Sequence
from typing import Any

from router_extproc.base.digest import digest

MAX_TOPIC_CHARS = 80

OPENINGS = (
    "You asked about “{topic}”.",
    "Let us look at “{topic}” step by step.",
    "The short answer to “{topic}” depends on {word}.",
    "Thank you for the question about “{topic}”.",
)
SENTENCES = (
    "The first thing to settle is what {word} means here.",
    "In practice {word} and {other} are rarely independent of each other.",
    "A careful reader will notice that {word} changes the result by ≈ {number} %.",
    "Most textbooks treat {word} before {other}, for good reason.",
    "If {other} is held fixed, {word} follows almost at once.",
    "This is a naïve view, yet it explains {number} of every 100 cases.",
    "There are exceptions, and {other} is the best known of them.",
    "One can check this by replacing {word} with {other} and comparing.",
    "Nothing in the question rules out {number} further possibilities.",
)
ITEMS = (
    "**{word}**: where to start",
    "the relation of {word} to {other} → see above",
    "a check with {number} samples",
    "{other}, but only when it matters",
    "what remains of {word} afterwards",
)
CLOSINGS = (
    "In short, {word} decides.",
    "I hope that this makes {word} clearer 🙂",
    "Ask again with more detail on {other} if you need it.",
    "That is all there is to {word}.",
)
THOUGHTS = (
    "The user wants to know about {word}.",
    "I should relate {word} to {other}.",
    "Let me check the number {number} again.",
    "Wait, {other} may matter more than {word}.",
    "An example would help.",
    "So the answer begins with {word}.",
)
CODE = """\
```python
def check(value: int) -> bool:
    '''Whether the {number} samples agree.'''
    return value >= {number}
```"""
STOP_WORDS = frozenset(
    "about does from have into that the their this what when where which with would your".split()
)


class Dice:
    """A stream of choices that a seed determines, on every platform and Python version."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode("ascii")
        self._rolls = 0

    def below(self, limit: int) -> int:
        """An integer from 0 to `limit` - 1."""
        self._rolls += 1
        rolled = digest("dice", [self._seed, self._rolls.to_bytes(8, "big")])
        return int(rolled, 16) % limit

    def pick(self, options: Sequence[str]) -> str:
        return options[self.below(len(options))]

    def sample(self, options: Sequence[str], count: int) -> list[str]:
        """Up to `count` different options."""
        left = list(options)
        return [left.pop(self.below(len(left))) for _ in range(min(count, len(left)))]


def answer(seed: str, question: str) -> str:
    """One to five paragraphs of Markdown about `question`."""
    dice = Dice(seed)
    words = _words(question)
    blocks = [_fill(dice, dice.pick(OPENINGS), words, question)]
    blocks += [_paragraph(dice, SENTENCES, words, 2 + dice.below(4)) for _ in range(1 + dice.below(3))]
    if dice.below(3) == 0:
        blocks.append(_list(dice, words))
    if dice.below(4) == 0:
        blocks.append(_fill(dice, CODE, words))
    blocks.append(_fill(dice, dice.pick(CLOSINGS), words))
    return "\n\n".join(blocks)


def thinking(seed: str, question: str) -> str:
    """The reasoning that a model with thinking switched on shows before its answer."""
    dice = Dice(digest("thinking", [seed.encode("ascii")]))
    return _paragraph(dice, THOUGHTS, _words(question), 3 + dice.below(5)) + "\n"


def arguments(seed: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Arguments for a tool with this JSON schema: a value for each property that the schema requires."""
    dice = Dice(digest("arguments", [seed.encode("ascii")]))
    properties = schema.get("properties") or {}
    return {name: _value(dice, properties.get(name) or {}) for name in schema.get("required") or []}


def _value(dice: Dice, schema: dict[str, Any]) -> object:
    if options := schema.get("enum"):
        return options[dice.below(len(options))]
    match schema.get("type"):
        case "integer":
            return dice.below(100)
        case "number":
            return dice.below(1000) / 10
        case "boolean":
            return dice.below(2) == 1
        case "array":
            return []
        case "object":
            return {}
        case _:
            return f"value {dice.below(100)}"


def _paragraph(dice: Dice, patterns: Sequence[str], words: Sequence[str], sentences: int) -> str:
    return " ".join(_fill(dice, pattern, words) for pattern in dice.sample(patterns, sentences))


def _list(dice: Dice, words: Sequence[str]) -> str:
    mark = dice.pick(("-", "*", "1."))
    items = dice.sample(ITEMS, 2 + dice.below(4))
    return "\n".join(f"{mark} {_fill(dice, item, words)}" for item in items)


def _fill(dice: Dice, pattern: str, words: Sequence[str], question: str = "") -> str:
    # One pass over the pattern: braces in a question are text, not fields.
    word, other = dice.sample(words, 2)
    values = {
        "word": word,
        "other": other,
        "number": str(2 + dice.below(96)),
        "topic": " ".join(question.split())[:MAX_TOPIC_CHARS] or "nothing in particular",
    }
    return re.sub(r"\{(word|other|number|topic)\}", lambda field: values[field[1]], pattern)


def _words(question: str) -> list[str]:
    found = (word for word in re.findall(r"\w{4,20}", question) if word.lower() not in STOP_WORDS)
    return [*list(dict.fromkeys(found))[:12], "the question", "its context"]
