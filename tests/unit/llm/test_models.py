import msgspec
from openai.types import Model

from router_extproc.llm.models import render_model, render_models


def test_a_list_is_one_that_openais_client_reads() -> None:
    document = msgspec.json.decode(render_models(["auto", "m"], "us", 7))
    assert document["object"] == "list"
    assert [Model.model_validate(each) for each in document["data"]] == [
        Model(id=name, created=7, object="model", owned_by="us") for name in ("auto", "m")
    ]


def test_a_single_model_is_an_item_of_the_list() -> None:
    assert msgspec.json.decode(render_models(["m"], "us", 7))["data"] == [
        msgspec.json.decode(render_model("m", "us", 7))
    ]
