"""The language of short prompts, by the library that ships: right, bounded, the same in every thread."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from router_extproc.encoder.language import LanguageHead

PROMPTS = [
    ("en", "What is the capital of France?"),
    ("en", "hello there, how are you"),
    ("de", "Mach das Licht aus"),
    ("fr", "Écris un poème sur l'automne"),
    ("es", "¿Cuánto es siete por ocho?"),
    ("it", "Qual è la capitale della Francia?"),
    ("pt", "esqueci minha senha"),
    ("nl", "Schrijf een gedicht over de herfst"),
    ("pl", "Napisz wiersz o jesieni"),
    ("sv", "Skriv en dikt om hösten"),
    ("tr", "Günaydın, nasılsın"),  # noqa: RUF001 - Turkish
    ("uk", "Яка столиця Франції?"),
    ("el", "ξέχασα τον κωδικό μου"),
    ("ar", "ما هي عاصمة فرنسا؟"),
    ("he", "מהי בירת צרפת?"),
    ("zh", "写一首关于秋天的诗"),
    ("ja", "秋についての詩を書いてください"),
    ("ko", "프랑스의 수도는 어디입니까?"),
    ("vi", "Thủ đô của Pháp là gì?"),
    ("th", "เมืองหลวงของฝรั่งเศสคืออะไร"),
]
DEADLINE = 5.0


@pytest.fixture(scope="module")
def head() -> LanguageHead:
    return LanguageHead().load()


@pytest.mark.parametrize(("code", "text"), PROMPTS)
def test_a_short_prompt_is_recognised(head: LanguageHead, code: str, text: str) -> None:
    found = head.probabilities(text)
    assert next(iter(found)) == code
    assert sum(found.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in found.values())


def test_codes_are_of_two_letters(head: LanguageHead) -> None:
    assert all(len(code) == 2 for code in head.labels)
    assert {"en", "de", "zh"} <= set(head.labels)


@pytest.mark.parametrize("text", ["", "   ", "42", "\x00", "\ud800"])
def test_a_text_without_words_is_of_no_language(head: LanguageHead, text: str) -> None:
    assert max(head.probabilities(text).values()) < 0.05


def test_capitals_and_lines_do_not_matter(head: LanguageHead) -> None:
    assert next(iter(head.probabilities("WAS IST DIE\n\nHAUPTSTADT VON FRANKREICH?"))) == "de"


def test_a_text_of_megabytes_costs_as_much_as_its_beginning(head: LanguageHead) -> None:
    text = "How do I explain threads to a beginner? " * 250_000
    started = time.process_time()
    assert head.probabilities(text) == head.probabilities(text[:2000])
    assert time.process_time() - started < 0.5


def test_threads_see_the_same(head: LanguageHead) -> None:
    texts = [text for _, text in PROMPTS] * 20
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(head.probabilities, texts, timeout=DEADLINE))
    assert together == [head.probabilities(text) for text in texts]


def test_the_version_of_the_library_is_part_of_the_identity(head: LanguageHead) -> None:
    assert b"py3langid 0." in head.as_bytes()
