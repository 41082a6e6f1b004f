"""What the guard lets through and what it holds back."""

import signal

import pytest

from router_extproc.caching.guard import Difference, agree

SAME = [
    (
        "What are the main renewable energy sources?",
        "Which sources of renewable energy are the most important?",
    ),
    ("How do I install nginx on Linux?", "how to install nginx on linux"),
    ("What is the capital of France?", "Tell me the capital city of France."),
    ("Explain two ways to sort a list.", "Explain 2 ways of sorting a list."),
    ("What\u2019s the capital of France?", "What's the capital city of France?"),
    ("Why is the sky blue?", "What makes the sky look blue?"),
    ("How can I fix a leaking tap?", "What is the best way to repair a leaking tap?"),
    ("How do I get rid of ants in the garage?", "What is a good way to remove garage ants?"),
    ("Should I stretch before a run?", "Is it a good idea to stretch prior to running?"),
    ("What is the difference between a virus and a worm?", "How do a worm and a virus differ?"),
    ("Do I need a visa for Peru as a Dutch citizen?", "As a Dutch citizen, do I need a visa for Peru?"),
    ("What is 1,000 km in miles?", "What is 1000 kilometres in miles?"),
    ("Why isn't the heater working?", "Why is the heater not working?"),
    ("Which author wrote Emma?", "Who wrote Emma?"),
    ("Who is the mayor of Bonn?", "Who's the mayor of Bonn, and why?"),
    ('What does "carpe diem" mean?', "What is the meaning of carpe diem?"),
    ("What is new in version 3.2?", "What's new in v3.2?"),
    ("How do I vote in the US?", "What is the way to vote in America?"),
    ("How do I vote in the U.S.?", "What is the way to vote in the US?"),
    ("Who was born in Oslo in 1950?", "In 1950, who was born in Oslo?"),
    ("Explain tides in simple words.", "Explain, in simple words, tides."),
    ("What is the difference between port 80 and port 443?", "How do port 443 and port 80 differ?"),
    ("Can I return shoes within 24 hours?", "Can I return shoes within a day?"),
    ("Is milk fine after 14 days?", "Is milk fine after two weeks?"),
    ("Is milk fine after a fortnight?", "Is milk fine after two weeks?"),
    ("Should I water it twice a week?", "Should I water it two times a week?"),
    ("Why are half of my pods down?", "Why are 50% of my pods down?"),
    ("Can I run for two and a half hours?", "Can I run for 2.5 hours?"),
    ("Does the shop open at 3pm?", "Does the shop open at 3 p.m.?"),
    ("Why does my script not start?", "Why does my script fail to start?"),
    ("Why is the soup not hot?", "Why is the soup cold?"),
    ("Why can't I save my file?", "What prevents me from saving my file?"),
    ("Which bread is free of gluten?", "Which bread does not contain gluten?"),
    ("Which fish live in salt water?", "Which fish live in saltwater?"),
    ("Turn the radio off in the car", "Switch off the radio in the car"),
    ("Can I freeze cooked rice?", "Can cooked rice be frozen?"),
    ("Can I take aspirin with milk?", "Can I take milk with aspirin?"),
    ("Can you tell me the capital of Peru?", "What is the capital of Peru?"),
    ("Which visa do Spanish citizens need?", "What visa do citizens of Spain need?"),
]

DIFFERENT = [
    (
        "What are the main renewable energy sources?",
        "What are the main non-renewable energy sources?",
        Difference.NEGATION,
    ),
    ("How do I enable two-factor login?", "How do I disable two-factor login?", Difference.OPPOSITE),
    ("How do I turn on dark mode?", "What is the way to switch off dark mode?", Difference.OPPOSITE),
    ("Is the port open?", "Is the port not open?", Difference.NEGATION),
    ("Is this material stable?", "Is this material unstable?", Difference.NEGATION),
    ("Which files are owned by root?", "Which files are owned by others than root?", Difference.NEGATION),
    ("Can't we go?", "Can we go?", Difference.NEGATION),
    ("What is 5 plus 3?", "What is 50 plus 3?", Difference.NUMBER),
    ("What is 17 minus 5?", "What is 5 minus 17?", Difference.NUMBER),
    ("What is 3 + 4?", "What is 3 - 4?", Difference.NUMBER),
    ("Is fifteen enough?", "Is fifty enough?", Difference.NUMBER),
    ("Take the second option", "Take the third option", Difference.NUMBER),
    ("Convert ten miles", "Convert eleven miles", Difference.NUMBER),
    ("What changed in v1.2?", "What changed in v1.3?", Difference.NUMBER),
    ("Is 5km far?", "Is 5 miles far?", Difference.CLASS),
    ("Wake me at 3 pm", "Wake me at 3 am", Difference.OPPOSITE),
    ("Is 20% of 80 enough?", "Is 20 of 80 enough?", Difference.CONTENT),
    ("Sort a list in python", "Sort a list in java", Difference.CLASS),
    ("Keep it at 20 \u00b0C", "Keep it at 20 \u00b0F", Difference.CLASS),
    ("Is it 5 \u20ac or more?", "Is it 5 \u00a3 or more?", Difference.CLASS),
    ("What is the weather in London?", "What is the weather in Paris?", Difference.NAME),
    ("How do I use an i5 board?", "How do I use an i7 board?", Difference.NAME),
    ("Explain `grep -v`", "Explain `grep -i`", Difference.CODE),
    ("What does rm -r do?", "What does rm -R do?", Difference.CODE),
    ("Read config_a please", "Read config_b please", Difference.CODE),
    ("Open notes.txt in vim", "Open notes.csv in vim", Difference.CODE),
    ("Explain /etc/hosts to me", "Explain /etc/passwd to me", Difference.CODE),
    ("Is a < b here?", "Is a > b here?", Difference.CODE),
    ('Translate "good luck"', 'Translate "good night"', Difference.QUOTE),
    ('Who said "less is more"?', "Who said more is less?", Difference.QUOTE),
    ("如何打开防火墙", "如何关闭防火墙", Difference.SCRIPT),
    ("Как включить режим?", "Как выключить режим?", Difference.SCRIPT),
    ("What does niño mean?", "What does niña mean?", Difference.SCRIPT),
    ("How do I answer to 😀?", "How do I answer to 😡?", Difference.SCRIPT),
    ("Turn miles into kilometers", "How do I turn kilometers into miles", Difference.ORDER),
    ("Convert a list to a string", "Convert a string to a list", Difference.ORDER),
    ("Did Germany invade Poland?", "Did Poland invade Germany?", Difference.ORDER),
    ("Does the client call the server?", "Is the client called by the server?", Difference.ORDER),
    ("Merge the feature branch into main", "Merge main into the feature branch", Difference.ORDER),
    ("Redirect a.example.com to example.com", "Redirect example.com to a.example.com", Difference.CODE),
    ("Can my cat catch a cold from me?", "Can I catch a cold from my cat?", Difference.ORDER),
    ("How do I zoom in on a map?", "How do I zoom out of a map?", Difference.OPPOSITE),
    ('Evaluate "3" plus "4"', "Evaluate 3 plus 4", Difference.QUOTE),
    ("Copy files to the server", "Copy files from the server", Difference.ORDER),
    ("Can I swap red wine for white wine?", "Can I swap white wine for red wine?", Difference.ORDER),
    ("Name the main causes of floods", "Name the main effects of floods", Difference.OPPOSITE),
    ("When will the parcel arrive?", "When did the parcel arrive?", Difference.TENSE),
    ("How did you learn chess?", "How can I learn chess?", Difference.TENSE),
    ("Which companies does Google own?", "Which company owns Google?", Difference.ORDER),
    ("Is milk fine after 14 days?", "Is milk fine after 14 weeks?", Difference.NUMBER),
    ("Forward port 80 to port 443", "Forward port 443 to port 80", Difference.NUMBER),
    ("Should I tell my landlord of it?", "Should I keep it from my landlord?", Difference.NEGATION),
    (
        "Who pays if the buyer has it and the seller does not?",
        "Who pays if the seller has it and the buyer does not?",
        Difference.ORDER,
    ),
    ("A stranger sold me a bike and I rode it", "I sold a bike to a stranger and rode it", Difference.ORDER),
    ("Why can't I enable the alarm?", "Why does disabling the alarm fail?", Difference.OPPOSITE),
    ("Turn the radio on in the car", "Turn the radio off in the car", Difference.OPPOSITE),
    ("Can the cat chase my big dog?", "Can my big dog ever chase the cat?", Difference.ORDER),
    ("Who invented the wheel?", "In what year was the wheel invented?", Difference.QUESTION),
    ("Where was the wheel invented?", "When was the wheel invented?", Difference.QUESTION),
    ("Why does glass break?", "How does glass break?", Difference.QUESTION),
    ("Can I wash wool?", "Should I wash wool?", Difference.QUESTION),
    ("What is lithium used for?", "What is lithium?", Difference.QUESTION),
    ("How long do you boil lobster?", "How long do you boil crab?", Difference.CONTENT),
    ("Is coffee grown in Peru?", "Is coffee roasted in Peru?", Difference.CONTENT),
    ("List files in a directory", "List hidden files in a directory", Difference.CONTENT),
    ("How do I learn chess?", "What is the best way for kids to learn chess?", Difference.CONTENT),
    ("What is the first step of a divorce?", "What is a step of a divorce?", Difference.CONTENT),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_paraphrases_pass(a: str, b: str) -> None:
    assert agree(a, b) is None
    assert agree(b, a) is None


@pytest.mark.parametrize(("a", "b", "kind"), DIFFERENT)
def test_differences_are_found_from_both_sides(a: str, b: str, kind: Difference) -> None:
    assert agree(a, b) == kind
    assert agree(b, a) == kind


def test_every_difference_has_an_example() -> None:
    """But for those that the verifier finds."""
    assert {kind for _, _, kind in DIFFERENT} == set(Difference) - {Difference.VERIFIER, Difference.TOO_LONG}


SIGNS = {Difference.QUESTION, Difference.CONTENT}
"""What may be left to the verifier, where there is one."""


@pytest.mark.parametrize(("a", "b", "kind"), DIFFERENT)
def test_what_is_decisive_stays_so_where_the_verifier_decides_the_rest(
    a: str, b: str, kind: Difference
) -> None:
    assert agree(a, b, firmly=True) in ({None, Difference.CONTENT} if kind in SIGNS else {kind})


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("How long do you boil lobster?", "How long do you boil crab?"),
        ("List files in a directory", "List hidden files in a directory"),
        ("What should I eat when I have gout?", "What should I avoid eating when I have gout?"),
    ],
)
def test_a_change_to_what_is_otherwise_a_copy_is_decisive(a: str, b: str) -> None:
    assert agree(a, b, firmly=True) is not None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (
            "What is the cheapest way to send money abroad?",
            "How do I transfer cash to another country at the lowest cost?",
        ),
        ("Where was the wheel invented?", "When was the wheel invented?"),
        ("What can I do so that my resume stands out?", "How do I write a resume that people notice?"),
    ],
)
def test_what_is_worded_otherwise_is_left_to_the_verifier(a: str, b: str) -> None:
    assert agree(a, b) is not None
    assert agree(a, b, firmly=True) is None


@pytest.mark.parametrize(("a", "b"), SAME)
def test_texts_without_a_difference_have_no_decisive_one(a: str, b: str) -> None:
    assert agree(a, b, firmly=True) is None


def test_a_reworded_text_may_exchange_words_and_a_copied_one_may_not() -> None:
    """The nearness of vectors is evidence only where the words are others."""
    question = "How do I stop my puppy chewing the sofa?"
    assert agree(question, "What can be done so that a puppy does no sofa chewing?") is None
    assert agree(question, "What can be done for more sofa chewing by my puppy?") is not None
    assert (
        agree("How can I bake rye bread?", "What would be a good way to bake only rye bread?")
        is Difference.CONTENT
    )
    reworded = "What are some ways of keeping cut flowers fresh in a vase?"
    assert agree("How should one preserve cut flowers so they stay fresh in a vase?", reworded) is None
    assert agree("What are some ways of keeping cut flowers moist in a vase?", reworded) is Difference.CONTENT
    in_place = "How should one keep tall cut flowers moist in a vase?"
    assert agree(in_place, reworded) is Difference.CONTENT


def test_in_a_long_text_every_word_of_content_counts() -> None:
    document = " ".join(f"w{chr(97 + i % 26)}{chr(97 + i // 26)}x" for i in range(60))
    assert agree(f"Please summarise: {document}", f"Can you summarise: {document}") is None
    assert agree(f"Please summarise: {document}", f"Please summarise: {document} today world") is None
    assert agree(f"Summarise: {document}", f"Summarise: {document} exam") is Difference.CONTENT


def test_the_same_text_is_the_same_question_whatever_is_in_it() -> None:
    assert agree('"', '"') is None
    assert agree("Is it on?", "Is it off?") is not None


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "a_", "a.", "-a", "/", "A ", "1", "1,", "1:", "'", "a'", '"', "`", "\u201c", "\u201ca", "\\"),
        *("\n", ": ", "not ", "get rid ", "and what ", "which ", "to a ", "x1 ", "`a` ", "\u00e9 ", "will "),
    ],
)
@pytest.mark.parametrize("tail", ["", "z"])
def test_a_long_run_of_anything_does_not_hang_it(unit: str, tail: str) -> None:
    """Linear work on this takes a moment; a pattern that looks back over the text, many minutes."""

    def hangs(*_: object) -> None:
        raise TimeoutError(f"comparing a long run of {unit!r} does not end")

    text = unit * (50_000 // len(unit))
    previous = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(30)
    try:
        assert agree(text, text + tail) is None or tail
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize(
    "text", ["", " ", "¿Qué?", "深い", "a" * 10_000, "💡 100%", "5", "?!", "not", "\x00"]
)
def test_a_text_agrees_with_itself(text: str) -> None:
    assert agree(text, text) is None
