"""A request that no model of the pool can answer gets an error that says why, and nothing goes upstream."""

import json
from dataclasses import replace

import httpx2
import openai
import pytest

from router_extproc.base.refusals import Failure, Rejection
from router_extproc.exchange.effects import PortFailed, Rejected, Reply
from router_extproc.exchange.snapshot import Snapshot
from tests.support.play import PLAN, Ports, Transcript, chat_body, chat_headers, play, question

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


LONG = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "word " * 8000}]})
BOTH = json.dumps(
    {
        "model": "auto",
        "messages": [{"role": "user", "content": [PICTURE, {"type": "text", "text": "word " * 8000}]}],
    }
)


def pool(**windows: int | None) -> Snapshot:
    """Every model has this context window, by default none; `medium` is the default model."""
    models = {
        name: replace(model, context_window=windows.get(name)) for name, model in PLAN.routing.models.items()
    }
    return replace(PLAN, routing=replace(PLAN.routing, models=models))


@pytest.mark.parametrize("analyst", [Ports(), Ports(analyse=lambda effect: Failure.TIMEOUT)])
def test_a_request_too_long_for_all_that_may_answer_has_openais_code(analyst: Ports) -> None:
    reply = play([chat_headers(), chat_body(LONG)], analyst, pool(large=4096, medium=4096)).immediate()
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")


def test_where_a_shorter_request_would_not_help_there_is_no_such_code() -> None:
    tight = pool(large=4096)
    assert json.loads(asked().immediate().body)["error"]["code"] is None
    # Too long for one and a picture for both: it is the picture.
    error = json.loads(play([chat_headers(), chat_body(BOTH)], None, tight).immediate().body)["error"]
    assert (error["code"], error["param"]) == (None, None)


def refused(body: str, status_error: type[openai.APIStatusError], plan: Snapshot = PLAN) -> openai.APIError:
    """What OpenAI's own client makes of the router's answer."""
    reply = play([chat_headers(), chat_body(body)], plan=plan).immediate()
    answer = httpx2.Response(reply.status, headers=list(reply.headers), content=reply.body)
    transport = httpx2.MockTransport(lambda request: answer)
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(api_key="k", base_url="http://router.test", http_client=http, max_retries=0) as client,
        pytest.raises(status_error) as caught,
    ):
        client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "?"}])
    return caught.value


def test_openais_client_reads_the_errors() -> None:
    tight = pool(large=4096, medium=4096)
    error = refused(LONG, openai.BadRequestError, tight)
    assert (error.code, error.param, error.type) == (
        "context_length_exceeded",
        "messages",
        "invalid_request_error",
    )
    error = refused(question(model="other"), openai.NotFoundError)
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
    error = refused("{}", openai.BadRequestError)
    assert (error.code, error.param, error.type) == (None, "model", "invalid_request_error")
    assert "'model' must be" in error.message
    error = refused(BODY, openai.BadRequestError)
    assert (error.code, error.param) == (None, None)
    error = refused(LONG, openai.APIStatusError, replace(PLAN, max_body_bytes=100))
    assert (error.code, error.type) == (None, "invalid_request_error")


def test_without_an_analysis_too() -> None:
    transcript = asked(Ports(analyse=lambda effect: Failure.TIMEOUT))
    assert transcript.immediate().status == 400
    assert transcript.only(PortFailed) == [PortFailed("analyst", Failure.TIMEOUT)]


def test_a_model_that_can_see_is_chosen() -> None:
    seeing = replace(PLAN.routing.models["medium"], vision=True)
    routing = replace(PLAN.routing, models={**PLAN.routing.models, "medium": seeing})
    transcript = play([chat_headers(), chat_body(BODY)], plan=replace(PLAN, routing=routing))
    assert ("x-selected-model", "medium") in transcript.forwarded().edits.set
