"""Bodies and parameters of the HTTP API: each is a Shape, or is refused in a sentence."""

import msgspec
from multidict import MultiDict

from router_extproc.server.api.classify_shapes import BatchRequest, IntentRequest, PiiRequest
from router_extproc.server.api.intake import body_as, parameters_of
from router_extproc.server.api.route import Shape
from router_extproc.server.api.search import SearchRequest
from router_extproc.server.api.vectors import EmbeddingsRequest, SimilarityBatchRequest
from router_extproc.server.replies import RefusedError

SHAPES: tuple[type[Shape], ...] = (
    IntentRequest,
    PiiRequest,
    BatchRequest,
    SearchRequest,
    EmbeddingsRequest,
    SimilarityBatchRequest,
)
LONGEST = 600
"""Characters of a refusal: what it repeats of a body is bounded."""

SEEDS = (
    b'\x00{"text":"What is 2+2?","options":{"return_probabilities":true}}',
    b'\x01{"text":"jo@example.org","options":{"confidence_threshold":0.5}}',
    b'\x02{"texts":["a","b"],"task_type":"intent"}',
    b'\x03{"text":"a","limit":5}',
    b'\x04{"texts":["a"],"dimension":384}',
    b'\x05{"query":"a","candidates":["b","c"],"top_k":1}',
    b"\x03limit=5&text=a&text=b",
)


def target(data: bytes) -> None:
    """The first byte chooses the Shape."""
    kind, body = SHAPES[data[0] % len(SHAPES) if data else 0], data[1:]
    refusals: list[str] = []
    try:
        read = body_as(kind, body)
        assert body_as(kind, msgspec.json.encode(read)) == read
    except RefusedError as error:
        refusals.append(error.message)
    text = body.decode("latin-1")
    query = MultiDict((name, value) for name, _, value in (each.partition("=") for each in text.split("&")))
    try:
        parameters_of(kind, {}, query)
    except RefusedError as error:
        refusals.append(error.message)
    assert all(0 < len(message) < LONGEST for message in refusals)
