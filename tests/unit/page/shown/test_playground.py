import pytest

from router_extproc.page.shown import playground as shown

MISS = {
    "x-vsr-selected-model": "large",
    "x-vsr-selected-category": "math",
    "x-vsr-selected-reasoning": "on",
    "x-vsr-response-path": "upstream",
    "content-type": "text/event-stream",
    "server": "envoy",
}
HIT = {
    "x-vsr-selected-model": "large",
    "x-vsr-response-path": "cache",
    "x-vsr-cache-hit": "true",
    "x-vsr-cache-similarity": "0.9312",
    "age": "12",
}


def test_a_model_s_answer_has_its_name_category_and_thinking() -> None:
    assert [chip.text for chip in shown.chips(200, MISS)] == ["large", "math", "thinks"]
    assert dict(shown.decision(MISS))["Answered by"] == "a model"


def test_an_answer_of_the_cache_says_so_with_its_similarity_and_age() -> None:
    first, similar = shown.chips(200, HIT)
    assert (first.text, first.tone) == ("from the cache, by large", "good")
    assert similar.text == "similarity 0.9312"
    told = dict(shown.decision(HIT))
    assert (told["Similarity"], told["Age"], told["Category"]) == ("0.9312", "12 s", "none certain")


@pytest.mark.parametrize(
    ("status", "headers", "text", "tone"),
    [
        (200, {"x-vsr-response-path": "blocked"}, "blocked by a guard", "bad"),
        (404, {}, "status 404", "bad"),
        (200, HIT | {"x-vsr-cache-hit": "stale"}, "an expired answer of large", "warn"),
        (200, {}, "no router's word", "warn"),
    ],
)
def test_what_went_otherwise_has_its_own_word_and_tone(
    status: int, headers: dict[str, str], text: str, tone: str
) -> None:
    first = shown.chips(status, headers)[0]
    assert (first.text, first.tone) == (text, tone)


def test_times_have_a_speed_where_tokens_were_counted() -> None:
    told = dict(shown.timings(40.0, 50.0, 1050.0, {"prompt_tokens": 9, "completion_tokens": 100}, {}))
    assert told["Speed"] == "100 tokens/s"
    assert told["Tokens"] == "9 in, 100 out"
    assert "Speed" not in dict(shown.timings(1.0, 1.2, 1.3, {"completion_tokens": 100}, {}))
    replayed = shown.timings(40.0, 50.0, 1050.0, {"completion_tokens": 100}, {"x-vsr-cache-hit": "true"})
    assert "Speed" not in dict(replayed)
    assert dict(shown.timings(1.0, None, None, None, {}))["First text after"] == "–"  # noqa: RUF001


def test_only_fields_that_say_something_are_shown() -> None:
    assert [name for name, _ in shown.fields(MISS)] == [
        "content-type",
        "x-vsr-response-path",
        "x-vsr-selected-category",
        "x-vsr-selected-model",
        "x-vsr-selected-reasoning",
    ]
