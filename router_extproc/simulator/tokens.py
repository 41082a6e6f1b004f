"""The simulator's tokens. Pure; knows nothing of requests or answers."""

import re

TOKEN = re.compile(r" ?\w{1,6}| ?[^\w\s]|\s")
"""One token: up to six word characters, or one mark, each with a space before it; or one white space.

About four characters of English make one, as with the tokenisers of real models.
"""


def tokenise(text: str) -> list[str]:
    """The tokens of `text`. Joined, they are `text` again, because every character belongs to one."""
    return TOKEN.findall(text)


def count_tokens(text: str) -> int:
    return sum(1 for _ in TOKEN.finditer(text))
