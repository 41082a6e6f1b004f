"""What labels of somebody else's model mean, and which nobody knows."""

import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.labels import Role, attacks_of, roles_of
from router_extproc.screening.spans import PII_TYPES


def types(*labels: str, **given: str) -> list[str | None]:
    return [None if role is None else role.type for role in roles_of(("O", *labels), given)[1:]]


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("PER", "PERSON"),
        ("person", "PERSON"),
        ("LOC", "GPE"),
        ("ORG", "ORGANIZATION"),
        ("EMAIL", "EMAIL_ADDRESS"),
        ("E-MAIL", "EMAIL_ADDRESS"),
        ("PHONE", "PHONE_NUMBER"),
        ("Phone Number", "PHONE_NUMBER"),
        ("CREDITCARDNUMBER", "CREDIT_CARD"),
        ("SOCIALNUM", "US_SSN"),
        ("NORP", "NRP"),
    ],
)
def test_usual_names_are_known(label: str, kind: str) -> None:
    assert types(label) == types(f"B-{label}", f"I-{label}")[:1] == [kind]


@pytest.mark.parametrize("kind", sorted(PII_TYPES))
def test_every_type_of_the_router_s_own_is_known(kind: str) -> None:
    assert types(kind, f"B-{kind}", f"I-{kind}") == [kind] * 3


def test_a_prefix_tells_where_a_span_begins_and_ends() -> None:
    labels = ("O", "B-PER", "I-PER", "E-PER", "S-PER", "U-PER", "L-PER", "ORG")
    assert roles_of(labels, {}) == (
        None,
        Role("PERSON", begins=True),
        Role("PERSON"),
        Role("PERSON", ends=True),
        *(Role("PERSON", begins=True, ends=True),) * 2,
        Role("PERSON", ends=True),
        Role("ORGANIZATION"),
    )


def test_the_user_s_word_counts_over_the_usual_and_a_whole_label_over_its_name() -> None:
    given = {"LOC": "STREET_ADDRESS", "B-PER": "TITLE"}
    assert types("B-PER", "I-PER", "B-LOC", "MISC", **given, MISC="O") == [
        "TITLE",
        "PERSON",
        "STREET_ADDRESS",
        None,
    ]
    assert roles_of(("B-X", "I-X", "LABEL_2"), {"X": "AGE", "*": "O"})[2] is None
    assert types("B-PER", "I-PER", "MISC", "LAW", **{"*": "O"}) == ["PERSON", "PERSON", None, None]


@pytest.mark.parametrize(
    ("labels", "given", "message"),
    [
        (("O", "B-PER", "B-MISC", "I-MISC", "LAW"), {}, "nobody knows what LAW, MISC is"),
        (("O", "PER"), {"PRE": "PERSON"}, "'PRE' is none of the model's"),
        (("O", "PER"), {"PER": "PERSN"}, "'PERSN' is no type of personal data"),
        (("ORG", "PER"), {}, "none says that a word is no personal data"),
        (("O", "MISC"), {"MISC": "O"}, "none is personal data"),
    ],
)
def test_what_nobody_knows_is_never_passed_over(
    labels: tuple[str, ...], given: dict[str, str], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        roles_of(labels, given)


def test_attacks_are_known_by_their_usual_names() -> None:
    assert attacks_of(("SAFE", "INJECTION", "jailbreak"), {}) == (False, True, True)
    assert attacks_of(("LABEL_0", "LABEL_1"), {"LABEL_0": "benign", "LABEL_1": "jailbreak"}) == (False, True)
    assert attacks_of(("SAFE", "INJECTION", "jailbreak"), {"INJECTION": "benign"}) == (False, False, True)


@pytest.mark.parametrize(
    ("labels", "given", "message"),
    [
        (("SAFE", "LABEL_1"), {}, "nobody knows whether LABEL_1 is an attack"),
        (("SAFE", "UNSAFE"), {"UNSAVE": "jailbreak"}, "'UNSAVE' is none of the model's"),
        (("INJECTION", "JAILBREAK"), {}, "are all one"),
        (("BENIGN", "SAFE"), {}, "are all one"),
    ],
)
def test_labels_of_a_guard_that_tell_nothing_are_refused(
    labels: tuple[str, ...], given: dict[str, str], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        attacks_of(labels, given)
