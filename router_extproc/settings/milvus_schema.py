"""The Milvus store: `cache/milvus.yaml`, or `semantic_cache.milvus` of `config/router.yaml`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveInt, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from router_extproc.settings.refused import refused_in
from router_extproc.settings.strict import Host, Identifier, Port, Strict, Variable


class MilvusAuth(Strict):
    """The password is read from the environment variable `password_env`, never from the file."""

    enabled: bool = True
    username: str | None = None
    password_env: Variable = "MILVUS_PASSWORD"  # noqa: S105 - a variable's name


class MilvusTls(Strict):
    """`ca_file` is another name for `ca_pem_path`. With `cert_file` and `key_file`, the router shows who it
    is too. Paths are relative to the file."""

    enabled: bool = True
    ca_pem_path: str | None = None
    ca_file: str | None = None
    server_name: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def authority(self) -> str | None:
        return self.ca_pem_path or self.ca_file


class MilvusConnection(Strict):
    """Either `path` (embedded Milvus Lite keeps its files there) or `host` and `port` of a server. `timeout`
    (seconds) is for connecting and for preparing the collections; a lookup has the router's."""

    path: Annotated[str, Field(min_length=1)] | None = None
    host: Host | None = None
    port: Port = 19530
    database: Annotated[str, Field(min_length=1, max_length=255)] = "default"
    timeout: Annotated[float, Field(gt=0)] = 10.0
    auth: MilvusAuth | None = None
    tls: MilvusTls | None = None


class MilvusVectorField(Strict):
    """`dimension`, when it is a number, must be the encoder's. Of unit vectors, which the encoder makes, both
    metrics are the cosine."""

    name: Identifier = "embedding"
    dimension: Literal["auto"] | PositiveInt = "auto"
    metric_type: Literal["COSINE", "IP"] = "COSINE"


class MilvusIndexParams(Strict):
    M: Annotated[int, Field(ge=4, le=64)] = 16
    efConstruction: Annotated[int, Field(ge=8, le=512)] = 64  # noqa: N815 - Milvus's own name


def _hnsw(name: object) -> object:
    if isinstance(name, str) and name != "HNSW":
        raise PydanticCustomError(
            "index",
            "only HNSW: a flat index reads every row for each lookup, the others must be trained anew as "
            "rows come and go",
        )
    return name


class MilvusIndex(Strict):
    type: Annotated[Literal["HNSW"], BeforeValidator(_hnsw)] = "HNSW"
    params: MilvusIndexParams = MilvusIndexParams()


class MilvusCollection(Strict):
    """The collection's real name is `name` plus a digest of the encoder's identity and the rows' layout."""

    name: Identifier = "semantic_cache"
    description: Annotated[str, Field(max_length=1024)] = "router-extproc semantic cache"
    vector_field: MilvusVectorField = MilvusVectorField()
    index: MilvusIndex = MilvusIndex()


class MilvusSearchParams(Strict):
    ef: Annotated[int, Field(ge=1, le=32_768)] = 64


def _consistency(name: object) -> object:
    if name == "Session":
        raise PydanticCustomError(
            "consistency",
            "session sees the writes of one connection, and replicas have one each; what this process "
            "wrote it has in memory: use Bounded, or Strong to wait for all replicas' writes at every lookup",
        )
    return name


class MilvusSearch(Strict):
    """`topk` bounds the candidates that one lookup brings from Milvus; the router asks for a few anyway."""

    params: MilvusSearchParams = MilvusSearchParams()
    topk: Annotated[int, Field(ge=1, le=16_384)] | None = None
    consistency_level: Annotated[
        Literal["Strong", "Bounded", "Eventually"], BeforeValidator(_consistency)
    ] = "Bounded"


class MilvusSettings(Strict):
    """The whole of `cache/milvus.yaml`; paths in it are relative to the file it stands in."""

    connection: MilvusConnection
    collection: MilvusCollection = MilvusCollection()
    search: MilvusSearch = MilvusSearch()

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, raw: object) -> object:
        """Keys known from elsewhere are refused with the reason before others are found unknown."""
        problems = [
            InitErrorDetails(type=PydanticCustomError("refused", reason), loc=path, input=None)
            for path, reason in (refused_in(raw) if isinstance(raw, dict) else ())
        ]
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return raw
