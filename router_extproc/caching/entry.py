"""A cached answer, and what a store returns when it is asked for one."""

from dataclasses import dataclass, field

from router_extproc.base.completion import Completion
from router_extproc.base.vector import Vector


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer and everything needed to find it and to say where it came from.

    `id` is the digest of `partition` and `text`: writing the same question twice replaces the entry.
    `partition` is the isolation key (see `identity`); no lookup may cross it. `tenant`, `model` (the one
    that answered) and `category` are what operators select entries by. Times are Unix seconds; an entry
    was created when its question was asked, so that what was asked before an invalidation stays invalid.
    `text` and `completion` are user data: they are stored, and never logged. `exact_only` says that the
    entry is found by its id and never by meaning: its vector does not cover the text, or the text says
    too little by itself.
    """

    id: str
    partition: str
    tenant: str
    text: str = field(repr=False)
    vector: Vector = field(repr=False)
    completion: Completion = field(repr=False)
    model: str
    category: str
    reasoning: bool
    created_at: float
    expires_at: float
    exact_only: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry a store proposes. `similarity` is the cosine in [-1, 1]; 1.0 for an exact match."""

    entry: Entry
    similarity: float
