"""A request that no model of the pool can answer gets an error that says why, and nothing goes upstream."""

import json
from dataclasses import replace

from router_extproc.base.refusals import Failure, Rejection
from router_extproc.exchange.effects import PortFailed, Rejected, Reply
from tests.support.play import PLAN, Ports, Transcript, chat_body, chat_headers, play

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
BODY = json.dumps({"model": "auto", "messages": [{"role": "user", "content": [PICTURE]}]})


def asked(ports: Ports | None = None) -> Transcript:
    return play([chat_headers(), chat_body(BODY)], ports)


def test_the_client_is_told_what_is_lacking() -> None:
    reply = asked().immediate()
    assert reply.status == 400
    assert "image input" in json.loads(reply.body)["error"]["message"]
    assert asked().only(Rejected) == [Rejected(Rejection.UNSUITABLE)]
    assert not any(isinstance(each, Reply) and each.clear_route_cache for each in asked().replies())


def test_without_an_analysis_too() -> None:
    transcript = asked(Ports(analyse=lambda effect: Failure.TIMEOUT))
    assert transcript.immediate().status == 400
    assert transcript.only(PortFailed) == [PortFailed("analyst", Failure.TIMEOUT)]


def test_a_model_that_can_see_is_chosen() -> None:
    seeing = replace(PLAN.routing.models["medium"], vision=True)
    routing = replace(PLAN.routing, models={**PLAN.routing.models, "medium": seeing})
    transcript = play([chat_headers(), chat_body(BODY)], plan=replace(PLAN, routing=routing))
    assert ("x-selected-model", "medium") in transcript.forwarded().edits.set
