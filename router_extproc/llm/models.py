"""The answers of `GET /v1/models` and `GET /v1/models/{model}`, in OpenAI's form."""

from collections.abc import Sequence

import msgspec


def render_models(names: Sequence[str], owner: str, created: int) -> bytes:
    """`{"object": "list", "data": [...]}` in the order of `names`. `created` is in Unix seconds."""
    return msgspec.json.encode({"object": "list", "data": [_model(name, owner, created) for name in names]})


def render_model(name: str, owner: str, created: int) -> bytes:
    return msgspec.json.encode(_model(name, owner, created))


def _model(name: str, owner: str, created: int) -> dict[str, object]:
    return {"id": name, "object": "model", "created": created, "owned_by": owner}
