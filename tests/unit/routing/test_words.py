"""Whole words and phrases, in scripts with and without spaces between words."""

import pytest

from router_extproc.routing.signals import Keyword
from router_extproc.routing.words import Vocabulary, count_words


def occurs(keyword: str, text: str, *, case_sensitive: bool = False) -> bool:
    given = Keyword.of(keyword, case_sensitive=case_sensitive)
    return Vocabulary(text, case_sensitive=case_sensitive).has(given.text, given.words)


@pytest.mark.parametrize(
    ("keyword", "text", "found"),
    [
        ("cat", "The cat sat.", True),
        ("cat", "concatenate", False),
        ("cat", "cats", False),
        ("cat", "CAT!", True),
        ("credit card", "my credit  \n card is gone", True),
        ("credit card", "my credit cards", False),
        ("credit card", "credit and card", False),
        ("card is", "credit card is", True),
        ("c++", "I write C++ code", True),
        ("ab-c", "ab, c and xab-c or ab-cd", False),
        (".net", "use .NET today", True),
        ("foo_bar", "call foo_bar()", True),
        ("foo", "call foo_bar()", False),
        ("don't", "I don't know", True),
        ("a.*b", "a plain b", False),
        ("a.*b", "write a.*b here", True),
        ("(", "f(x)", True),
        ("Straße", "STRASSE", True),
        ("退款", "我要退款谢谢", True),
        ("退款", "我要退 款", False),
        ("python", "用Python写代码", True),
        ("python", "用Pythonic写代码", False),
        ("返品", "この商品を返品したいです", True),
        ("환불", "환불을 원합니다", True),
        ("คืนเงิน", "ฉันต้องการคืนเงินครับ", True),
        ("हिन्दी", "मैं हिन्दी बोलता हूँ", True),
        ("हिन", "मैं हिन्दी बोलता हूँ", False),
        ("résumé", "my résumé", True),
        (" ", "anything at all", False),
    ],
)
def test_a_keyword_is_a_whole_word_or_phrase_taken_literally(keyword: str, text: str, found: bool) -> None:
    assert occurs(keyword, text) is found


def test_case_may_count() -> None:
    assert occurs("IT", "Ask IT for help", case_sensitive=True)
    assert not occurs("IT", "it rains", case_sensitive=True)


def test_a_later_occurrence_counts_where_an_earlier_one_is_inside_a_word() -> None:
    assert occurs("ab-c", "xab-c ab-c")


def test_words_are_counted_in_every_script() -> None:
    assert count_words("two words") == 2
    assert count_words("我有 two 词") == 4
    assert count_words("...") == 0
