import pytest

from router_extproc.simulator.tokens import count_tokens, tokenise


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("Hello, world", ["Hello", ",", " world"]),
        ("extraordinarily", ["extrao", "rdinar", "ily"]),
        ("a  b\n", ["a", " ", " b", "\n"]),
        ("≈ 3 %🙂", ["≈", " 3", " %", "🙂"]),
    ],
)
def test_texts_split_into_known_tokens(text: str, tokens: list[str]) -> None:
    assert tokenise(text) == tokens
    assert count_tokens(text) == len(tokens)
    assert "".join(tokens) == text
