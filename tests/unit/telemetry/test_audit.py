"""What the guards did leaves a record, and nothing of a request is in it."""

import logging

import pytest

from router_extproc.base.refusals import Guarded, Uncached
from router_extproc.exchange.effects import AnswerScreened, CacheMiss, Note, RequestGuarded
from router_extproc.telemetry.audit import LOGGER, Audited


class Notes:
    def __init__(self) -> None:
        self.notes: list[Note] = []

    def note(self, note: Note) -> None:
        self.notes.append(note)


def test_what_a_guard_did_is_recorded_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    kept = Notes()
    types = frozenset({"US_SSN", "PERSON"})
    note = RequestGuarded(
        "pii", Guarded.REROUTED, "decision:my bills", "local", "r1", "t1", types=types, skipped=7
    )
    attack = RequestGuarded("guard", Guarded.BLOCKED, "", "large", "r2", score=0.98765)
    with caplog.at_level(logging.INFO, LOGGER):
        Audited(kept).note(note)
        Audited(kept).note(attack)
    assert caplog.messages == [
        "guard=pii outcome=rerouted key='decision:my bills' model='local' score=- types=PERSON,US_SSN "
        "skipped_characters=7 tenant=t1 reference=r1",
        "guard=guard outcome=blocked key='' model='large' score=0.988 types=- skipped_characters=0 tenant=- "
        "reference=r2",
    ]
    assert kept.notes == [note, attack]


def test_what_passed_and_what_is_no_guard_s_is_only_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    kept = Notes()
    passed = RequestGuarded("guard", Guarded.PASSED, "", "large", "r1", score=0.1)
    stored = AnswerScreened(None, "", "large", "e1", "t1", score=0.1)
    with caplog.at_level(logging.INFO, LOGGER):
        for note in (passed, CacheMiss(), stored):
            Audited(kept).note(note)
    assert caplog.messages == []
    assert kept.notes == [passed, CacheMiss(), stored]


def test_an_answer_that_is_not_kept_is_recorded_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    types = frozenset({"US_SSN", "PERSON"})
    note = AnswerScreened(Uncached.PERSONAL_DATA, "decision:my bills", "local", "e1", "t1", 0.25, types, 7)
    with caplog.at_level(logging.INFO, LOGGER):
        Audited(Notes()).note(note)
    assert caplog.messages == [
        "answer=not_kept reason=personal_data key='decision:my bills' model='local' score=0.250 "
        "types=PERSON,US_SSN skipped_characters=7 tenant=t1 reference=e1"
    ]
