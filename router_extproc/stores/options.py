"""What a Milvus store needs to be told. Plain values: `app` fills them from the settings."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from router_extproc.base.digest import digest
from router_extproc.stores.codec import VERSION

Consistency = Literal["Strong", "Bounded", "Eventually"]
Metric = Literal["COSINE", "IP"]
"""Of unit vectors, which all of ours are, both are the cosine."""


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tls:
    """`ca_pem_path`: the authority to trust, by default gRPC's own list. `server_name`: the name to expect
    in the certificate, when it is not the host's. `client_pem_path` and `client_key_path`: what a server that
    asks for one is shown; pymilvus sends it only where `ca_pem_path` is given too."""

    ca_pem_path: Path | None = None
    server_name: str | None = None
    client_pem_path: Path | None = None
    client_key_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A Milvus server, shared with other processes."""

    host: str
    port: int = 19530
    database: str = "default"
    credentials: Credentials | None = None
    tls: Tls | None = None

    def __str__(self) -> str:
        return f"Milvus at {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Embedded:
    """Milvus Lite in this process, which alone may have the folder `path` open."""

    path: Path

    def __str__(self) -> str:
        return f"Milvus Lite in {self.path}"


@dataclass(frozen=True, slots=True)
class MilvusOptions:
    """Times are seconds. `timeout` bounds connecting and preparing the collections, `call_timeout` one
    lookup, `write_timeout` one write or one page of a listing. `m` and `ef_construction` shape the HNSW
    graph, `ef` is how many candidates a search keeps (Malkov and Yashunin, arXiv 1603.09320)."""

    target: Server | Embedded
    dimension: int
    encoder: str
    collection: str = "semantic_cache"
    description: str = ""
    m: int = 16
    ef_construction: int = 64
    ef: int = 64
    vector_field: str = "embedding"
    metric: Metric = "COSINE"
    top_k: int | None = None
    """The most candidates one search brings, whatever is asked for."""
    consistency: Consistency = "Bounded"
    timeout: float = 10.0
    call_timeout: float = 0.5
    write_timeout: float = 5.0
    page_rows: int = 10_000
    """Rows listed by one query; Milvus returns at most 16,384."""
    max_in_flight: int = 64
    """Calls under way at a time; one more fails as OVERLOADED."""
    failures_to_open: int = 5
    """Failed calls in a row after which the server is left alone."""
    first_retry: float = 1.0
    longest_retry: float = 30.0

    @property
    def collection_name(self) -> str:
        """Vectors of different encoders are not comparable, and rows of different layouts not readable, so
        each encoder and layout has a collection of its own."""
        return f"{self.collection}_{digest('collection', [self.encoder.encode(), str(VERSION).encode()])}"

    @property
    def marks_name(self) -> str:
        """The collection of the marks on the entries."""
        return f"{self.collection_name}_marks"
