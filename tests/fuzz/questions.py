"""Texts that the cache compares and that signals look at: any two texts, of any characters."""

from router_extproc.caching.context import too_little
from router_extproc.caching.guard import agree
from router_extproc.caching.verify import compare_answers
from router_extproc.routing.structure import FEATURES
from router_extproc.routing.words import Vocabulary, normal, words_of

SEEDS = tuple(
    text.encode()
    for text in (
        "How do I enable wifi on Windows 11?\0How do I disable wifi on Windows 10?",
        "Convert 5 miles to km, not to feet.\0Convert 5 km to miles",
        'What does "git rebase -i HEAD~3" do?\0What\u2019s `git rebase`?',
        "Who was the president before Mr. Smith's twenty-first birthday?\0And why?",
        '| a | b |\n```py\nx = 1\n```\n- {"a": 1}\n1. https://x.y \u4f60\u597d \u0e01\0ANGER',
    )
)


def target(data: bytes) -> None:
    """Two texts with a NUL between."""
    one, _, other = data.decode("utf-8", "replace").partition("\0")
    assert agree(one, one) is None
    assert (agree(one, other) is None) == (agree(other, one) is None)
    agree(one, other, firmly=True)
    too_little(one, later=True)
    compare_answers(one, other, 0.7)
    assert all(feature(one) >= 0 for feature in FEATURES.values())
    for sensitive in (False, True):
        keyword = normal(other, case_sensitive=sensitive)
        Vocabulary(one, case_sensitive=sensitive).has(keyword, tuple(words_of(keyword)))
