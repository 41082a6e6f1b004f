from router_extproc.exchange.effects import Analyse, CacheMiss, LookupExact
from router_extproc.exchange.notes import NearestFound, Opened
from router_extproc.telemetry.story import MAX_PARTS, Story, StoryWitness
from tests.support.play import AT, chat_headers, play


def witness() -> tuple[StoryWitness, list[Story]]:
    told: list[Story] = []
    return StoryWitness([told.append]), told


def begun() -> tuple[StoryWitness, list[Story]]:
    one, told = witness()
    one.saw(play([chat_headers()]).only(Opened)[0], AT)
    return one, told


def test_a_story_is_told_once_and_only_of_what_began() -> None:
    one, told = witness()
    one.saw(CacheMiss(), AT)
    one.did(Analyse, "done", AT, AT, AT)
    one.over(AT)
    assert told == []
    one, told = begun()
    one.over(AT + 1)
    one.over(AT + 2)
    assert [story.ended for story in told] == [AT + 1]


def test_notes_and_deeds_are_found_by_kind() -> None:
    one, told = begun()
    one.saw(NearestFound(0.5), AT)
    one.saw(NearestFound(None), AT)
    one.did(Analyse, "done", AT, AT + 1, AT + 1)
    one.did(Analyse, "done", AT + 1, AT + 3, AT + 3)
    one.over(AT)
    [story] = told
    assert story.first(NearestFound) == NearestFound(0.5)
    assert story.all(NearestFound) == [NearestFound(0.5), NearestFound(None)]
    assert story.first(CacheMiss) is None
    assert story.seconds(Analyse) == 3
    assert story.seconds(LookupExact) is None


def test_what_is_kept_of_one_exchange_is_bounded() -> None:
    one, told = begun()
    for _ in range(2 * MAX_PARTS):
        one.saw(CacheMiss(), AT)
        one.did(Analyse, "done", AT, AT, AT)
    one.over(AT)
    assert len(told[0].seen) == len(told[0].done) == MAX_PARTS
