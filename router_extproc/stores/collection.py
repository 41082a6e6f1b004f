"""The collection: its columns, its index, its filters, and making sure that it is there. Never drops one."""

from collections.abc import Sequence
from typing import Any

from pymilvus import AsyncMilvusClient, CollectionSchema, DataType, FieldSchema
from pymilvus.milvus_client.index import IndexParams

from router_extproc.base.errors import OperatorError
from router_extproc.stores.codec import PIECE_BYTES, PIECES, key
from router_extproc.stores.lite import LiteServer
from router_extproc.stores.options import MilvusOptions

METRIC = "COSINE"
COLUMNS = ["id", "partition", "vector", "created_at", "expires_at", *PIECES]
"""What a lookup brings back: everything an entry is made of."""


async def prepare(client: AsyncMilvusClient, options: MilvusOptions, lite: LiteServer | None) -> None:
    """Create the collection if it is missing, check it otherwise, and have it loaded.

    Safe to run from several routers at once: creating the same collection twice is one creation. The caller
    bounds the whole by a timeout: waiting for an index has none in pymilvus.
    """
    name, timeout = options.collection_name, options.timeout
    if not await client.has_collection(name, timeout=timeout):
        await client.create_collection(
            name, schema=_schema(options), timeout=timeout, consistency_level=options.consistency
        )
    _verify(await client.describe_collection(name, timeout=timeout), options)
    build = {"M": options.m, "efConstruction": options.ef_construction}
    if lite is not None:
        parameters = {"index_type": "HNSW", "metric_type": METRIC, "params": build}
        await lite.create_index(name, "vector", parameters)
    elif not await client.list_indexes(name, field_name="vector", timeout=timeout):
        index = IndexParams()
        index.add_index("vector", index_type="HNSW", metric_type=METRIC, params=build)
        await client.create_index(name, index, timeout=timeout)
    await client.load_collection(name, timeout=timeout)


def search_parameters(options: MilvusOptions, limit: int) -> dict[str, object]:
    """`ef` must not be below the number of results asked for."""
    return {"metric_type": METRIC, "params": {"ef": max(options.ef, limit)}}


def alive(partition: str, at: float) -> str:
    """Rows of one partition that are not dead at `at`."""
    return f'partition == "{key(partition)}" and expires_at > {number(at)}'


def one(partition: str, entry_id: str, at: float) -> str:
    return f'id == "{key(entry_id)}" and {alive(partition, at)}'


def those(ids: Sequence[str]) -> str:
    return "id in [" + ", ".join(f'"{key(each)}"' for each in ids) + "]"


def number(value: float) -> str:
    """A float as Milvus's grammar takes it, without an exponent. Nine decimals are exact for Unix seconds:
    near 2e9 two floats are 2.4e-7 apart."""
    return f"{value:.9f}"


def _schema(options: MilvusOptions) -> CollectionSchema:
    fields = [
        FieldSchema("id", DataType.VARCHAR, is_primary=True, max_length=64),
        FieldSchema("partition", DataType.VARCHAR, max_length=64),
        FieldSchema("vector", DataType.FLOAT_VECTOR, dim=options.dimension),
        FieldSchema("created_at", DataType.DOUBLE),
        FieldSchema("expires_at", DataType.DOUBLE),
        FieldSchema("size", DataType.INT64),
        *(FieldSchema(name, DataType.VARCHAR, max_length=PIECE_BYTES) for name in PIECES),
    ]
    return CollectionSchema(fields, description=options.description, enable_dynamic_field=False)


def _verify(description: dict[str, Any], options: MilvusOptions) -> None:
    columns = {field["name"]: field for field in description["fields"]}
    cure = "drop it or set another collection.name"
    place = f"{options.target}: collection {options.collection_name}"
    if set(columns) != {"size", *COLUMNS}:
        raise OperatorError(f"{place} has other columns than this router writes; {cure}")
    dimension = int(columns["vector"]["params"]["dim"])
    if dimension != options.dimension:
        raise OperatorError(
            f"{place} holds vectors of {dimension} dimensions, the encoder makes {options.dimension}; {cure}"
        )
