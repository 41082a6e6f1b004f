"""Where an exchange can be. Each stage carries what is known there and nothing that comes later.

`started` is the time of the stream's first message, in Unix seconds.
"""

from dataclasses import dataclass, field

from router_extproc.base.vector import Vector
from router_extproc.caching.identity import Identity
from router_extproc.exchange.recorder import Recorder
from router_extproc.llm.chat import ChatRequest
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision


@dataclass(frozen=True, slots=True)
class Start:
    """Nothing has arrived. `ident` is unique among exchanges; ids of replayed completions are made of it."""

    ident: str


@dataclass(frozen=True, slots=True)
class AwaitBody:
    """A chat completion's headers were let through; its body comes next. `tenant` is None without a
    secret; `query` is the query of the request's path."""

    ident: str
    tenant: str | None
    query: str
    started: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed question. `model` is None when the router shall choose; `identity` is None when the
    cache may not be used for it."""

    ident: str
    chat: ChatRequest = field(repr=False)
    model: str | None
    identity: Identity | None
    started: float


@dataclass(frozen=True, slots=True)
class AwaitExact:
    """The exact tier was asked."""

    asked: Asked


@dataclass(frozen=True, slots=True)
class AwaitAnalysis:
    """The encoder runs."""

    asked: Asked


@dataclass(frozen=True, slots=True)
class AwaitSimilar:
    """The semantic tier was asked; `identity` is the request's."""

    asked: Asked
    identity: Identity
    analysis: Analysis
    decision: Decision


@dataclass(frozen=True, slots=True)
class Fill:
    """What an entry needs beside the answer. `partial`: the vector covers only the text's beginning."""

    identity: Identity
    vector: Vector = field(repr=False)
    partial: bool


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The request went to `decision`'s model. `reasoning` is None when the client's own setting stands;
    `fill` is None when the answer may not be stored."""

    decision: Decision
    reasoning: bool | None
    fill: Fill | None
    started: float


@dataclass(frozen=True, slots=True)
class Recording:
    """The answer passes and is read."""

    decision: Decision
    reasoning: bool | None
    fill: Fill
    recorder: Recorder = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more will be said on this stream."""


Stage = Start | AwaitBody | AwaitExact | AwaitAnalysis | AwaitSimilar | Forwarded | Recording | Done
