"""What is seen in a single text."""

import pytest

from router_extproc.caching.reading import read


def test_content_is_what_carries_the_subject() -> None:
    reading = read("How do I purchase the cheapest tickets for Rome?")
    assert reading.content == ("buy", "cheapest", "ticket", "rom")
    assert reading.firm == {"rom"}
    assert reading.roles["rom"] == "for"
    assert reading.roles["ticket"] == ""


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("five of 1,000", ("5", "1000")),
        ("a 10 second delay", ("10",)),
        ("5km and 10th", ("5", "10.")),
        ("at 02:30 on 2024-01-05", ("02:30", "2024", "-", "01", "-", "05")),
        ("v3.11 is out", ("3.11",)),
        ("the second of twenty", ("2.", "20")),
        ("one well-known word", ()),
        ("48 hours", ("2",)),
        ("60 minutes or 1 day", ()),
        ("in 50 hours", ("50",)),
        ("two and a half miles", ("2.5",)),
        ("25 percent", ("quarter",)),
        ("26 percent", ("26",)),
        ("3 * 4 = 12", ("3", "*", "4", "=", "12")),
    ],
)
def test_numbers_are_read_however_they_are_written(text: str, numbers: tuple[str, ...]) -> None:
    assert read(text).numbers == numbers


def test_a_unit_is_content_apart_from_its_number() -> None:
    assert read("5km").content == read("5 kilometres").content
    assert read("5 \u20ac").content == read("5 euros").content


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("run ls -la on ~/src, please", {"-la", "~/src"}),
        ("call get_user() now.", {"get_user()"}),
        ("open main.py in C++", {"main.py", "C++"}),
        ("either/or is a well-known phrase", set()),
        ("It ends here. Does it?", set()),
        ("mail me@example.org", {"me@example.org"}),
    ],
)
def test_code_is_told_from_prose(text: str, code: set[str]) -> None:
    assert set(read(text).code) == code


def test_typographic_quotes_are_quotes() -> None:
    assert read("say \u201cGood luck\u201d").quotes == read('say "good luck"').quotes == {"good luck"}


def test_negations_are_counted() -> None:
    assert read("I can't and won't, not ever, no").negations == 4
    assert read("Can I go without it?").negations == 1
    assert read("keep it from him").negations == 1
    assert read("keep it as a present that comes to us from him").negations == 0


def test_names_are_capitals_inside_a_sentence() -> None:
    assert read("Ask Anna. Then ask him.").firm == {"anna"}
    assert read("NASA and the i5").firm == {"nasa", "i5"}


def test_to_gives_a_part_unless_a_verb_follows() -> None:
    assert read("from rye to bread").roles == {"rye": "from", "bread": "to"}
    assert read("how to roast nuts").roles == {"roast": "", "nut": ""}


def test_a_phrase_is_one_meaning() -> None:
    assert "remov" in read("get rid of ants").content
    assert read("turn off the light").content[0] == read("disable the light").content[0]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("How do I swim?", {"how"}),
        ("What is the best way to swim?", {"how"}),
        ("What should I do to swim?", {"how"}),
        ("Is there a way to swim?", {"how"}),
        ("Can you tell me of fish?", {"do"}),
        ("When fish swim, do they sleep?", {"do"}),
        ("In what year do fish swim?", {"when"}),
        ("What is keeping fish from swimming?", {"what"}),
        ("What keeps fish from swimming?", {"why"}),
        ("How come fish swim?", {"why"}),
        ("What makes fish swim?", {"why"}),
        ("How much is a fish?", {"how much"}),
        ("How deep is it?", {"how is"}),
        ("Can fish swim?", {"whether"}),
        ("Explain swimming", {"do"}),
        ("Whose fish is it and why?", {"who", "why"}),
        ("Write to a friend whose fish died", {"do"}),
        ("Do you know who can swim?", {"who"}),
        ("", {"do"}),
        ("how", {"how"}),
    ],
)
def test_what_is_asked_for(text: str, kinds: set[str]) -> None:
    assert read(text).kinds == kinds
