"""Some hits by meaning are sent upstream all the same, and compared."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from router_extproc.base.completion import Completion
from router_extproc.base.refusals import Failure, Verified
from router_extproc.caching.entry import Candidate
from router_extproc.exchange.effects import (
    CacheHit,
    CacheVerified,
    ImmediateReply,
    LookupSimilar,
    Verify,
)
from router_extproc.exchange.events import Event
from router_extproc.llm.render import render_json
from tests.support.play import (
    COMPLETION,
    Ports,
    Transcript,
    chat_body,
    chat_headers,
    finds_exactly,
    finds_similar,
    pieces,
    plan_with,
    play,
    response_headers,
)

FRESH = Completion("large", "Four!", "stop")


def verified(share: float, ident: str = "x1") -> Transcript:
    messages: list[Event] = [
        chat_headers(),
        chat_body(),
        response_headers(),
        *pieces(render_json(FRESH, "chatcmpl-1", 1)),
    ]
    return play(
        messages, finds_similar("Please add 2 and 2.", 0.99), plan_with(verify_share=share), ident=ident
    )


def test_every_hit_by_meaning_is_compared_at_a_share_of_one() -> None:
    transcript = verified(1.0)
    assert not any(isinstance(reply, ImmediateReply) for reply in transcript.replies())
    [verify] = transcript.only(Verify)
    assert (verify.hit.entry.completion, verify.fresh) == (COMPLETION, FRESH)
    assert [store.entry.completion for store in transcript.stored()] == [FRESH]
    assert transcript.only(CacheHit) == []


def test_no_hit_is_compared_at_a_share_of_nothing() -> None:
    for number in range(200):
        transcript = verified(0.0, f"x{number}")
        assert transcript.immediate()
        assert transcript.only(Verify) == []


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_picks_about_that_many_and_always_the_same(share: float) -> None:
    idents = [f"x{number}" for number in range(600)]
    picked = [ident for ident in idents if verified(share, ident).only(Verify)]
    # Five standard deviations of a binomial distribution.
    assert abs(len(picked) - 600 * share) < 5 * (600 * share * (1 - share)) ** 0.5
    assert picked[:20] == [ident for ident in idents if verified(share, ident).only(Verify)][:20]


@pytest.mark.parametrize(
    "answer",
    [
        [response_headers("429")],
        [response_headers(content_type="text/html")],
        [response_headers(), *pieces(b"not JSON")],
    ],
)
def test_a_hit_with_nothing_to_compare_it_with_stays_undecided(answer: list[Any]) -> None:
    transcript = play(
        [chat_headers(), chat_body(), *answer],
        finds_similar("Please add 2 and 2.", 0.99),
        plan_with(verify_share=1.0),
    )
    assert transcript.only(Verify) == []
    assert transcript.only(CacheVerified) == [CacheVerified(Verified.UNDECIDED, "math", "e")]


def test_finds_exactlys_are_not_compared() -> None:
    transcript = play([chat_headers(), chat_body()], Ports(exact=finds_exactly), plan_with(verify_share=1.0))
    assert transcript.immediate()


def held_back(status: str, store: Failure | None = None) -> Transcript:
    """A sampled hit whose model answers `status`, and a store that by then may fail."""
    found = finds_similar("Please add 2 and 2.", 0.99)
    calls: list[LookupSimilar] = []

    def similar(effect: LookupSimilar) -> Sequence[Candidate] | Failure:
        calls.append(effect)
        return store if store is not None and len(calls) > 1 else found.similar(effect)

    messages: list[Event] = [chat_headers(), chat_body(), response_headers(status)]
    return play(messages, replace(found, similar=similar), plan_with(verify_share=1.0))


@pytest.mark.parametrize("status", ["404", "429", "500", "503"])
@pytest.mark.parametrize("store", [None, Failure.TIMEOUT])
def test_a_hit_held_back_stands_in_when_the_model_does_not_answer(status: str, store: Failure | None) -> None:
    transcript = held_back(status, store)
    assert transcript.immediate().details == "cache_semantic"
    assert [note.outcome for note in transcript.only(CacheVerified)] == [Verified.UNDECIDED]


def test_those_who_wait_for_a_sampled_request_get_the_hit() -> None:
    landed = verified(1.0).landed()
    assert landed[0] is not None
    assert landed[0].entry.completion == COMPLETION


def test_a_client_whose_answer_may_not_be_kept_is_not_sampled() -> None:
    asked: list[Event] = [chat_headers(("x-vsr-cache-control", "no-store")), chat_body()]
    found = finds_similar("Please add 2 and 2.", 0.99)
    assert play(asked, found, plan_with(verify_share=1.0)).immediate().status == 200
