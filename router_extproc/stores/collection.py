"""The two collections: their columns and indexes, and making sure that they are there. Never drops one.

The entries have one, the marks on them another. Knows nothing of what is asked or written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymilvus import AsyncMilvusClient, CollectionSchema, DataType, FieldSchema
from pymilvus.milvus_client.index import IndexParams

from router_extproc.base.errors import OperatorError
from router_extproc.stores.codec import MARK_VALUE_BYTES, PIECE_BYTES, PIECES, TRAITS
from router_extproc.stores.lite import LiteServer
from router_extproc.stores.options import MilvusOptions

MARK_COLUMNS = ("id", "kind", "value", "at", "expires_at")
MARK_VECTOR = "nothing"
"""Milvus wants a vector in every collection: two components that say nothing."""

_CURE = "drop it or set another collection.name"


@dataclass(frozen=True, slots=True)
class _Collection:
    name: str
    schema: CollectionSchema
    vector_field: str
    index: Mapping[str, Any]


def columns_of(options: MilvusOptions) -> list[str]:
    """What a lookup brings back: everything an entry is made of."""
    return ["id", "partition", *TRAITS, "exact_only", options.vector_field, *_TIMES, *PIECES]


async def prepare(client: AsyncMilvusClient, options: MilvusOptions, lite: LiteServer | None) -> None:
    """Create the collections if they are missing, check them otherwise, and have them loaded.

    Safe to run from several routers at once: creating the same collection twice is one creation. The caller
    bounds the whole by a timeout: waiting for an index has none in pymilvus.
    """
    for wanted in (_entries(options), _marks(options)):
        timeout = options.timeout
        if not await client.has_collection(wanted.name, timeout=timeout):
            await client.create_collection(
                wanted.name, schema=wanted.schema, timeout=timeout, consistency_level=options.consistency
            )
        _verify(await client.describe_collection(wanted.name, timeout=timeout), wanted, options)
        await _index(client, wanted, options, lite)
        await client.load_collection(wanted.name, timeout=timeout)


def search_parameters(options: MilvusOptions, limit: int) -> dict[str, object]:
    """`ef` must not be below the number of results asked for."""
    return {"metric_type": options.metric, "params": {"ef": max(options.ef, limit)}}


_TIMES = ("created_at", "expires_at")


def _entries(options: MilvusOptions) -> _Collection:
    fields = [
        FieldSchema("id", DataType.VARCHAR, is_primary=True, max_length=64),
        FieldSchema("partition", DataType.VARCHAR, max_length=64),
        *(FieldSchema(name, DataType.VARCHAR, max_length=size) for name, size in TRAITS.items()),
        FieldSchema("exact_only", DataType.BOOL),
        FieldSchema(options.vector_field, DataType.FLOAT_VECTOR, dim=options.dimension),
        *(FieldSchema(name, DataType.DOUBLE) for name in _TIMES),
        FieldSchema("size", DataType.INT64),
        *(FieldSchema(name, DataType.VARCHAR, max_length=PIECE_BYTES) for name in PIECES),
    ]
    schema = CollectionSchema(fields, description=options.description, enable_dynamic_field=False)
    build = {"M": options.m, "efConstruction": options.ef_construction}
    index = {"index_type": "HNSW", "metric_type": options.metric, "params": build}
    return _Collection(options.collection_name, schema, options.vector_field, index)


def _marks(options: MilvusOptions) -> _Collection:
    fields = [
        FieldSchema("id", DataType.VARCHAR, is_primary=True, max_length=64),
        FieldSchema("kind", DataType.VARCHAR, max_length=16),
        FieldSchema("value", DataType.VARCHAR, max_length=MARK_VALUE_BYTES),
        FieldSchema("at", DataType.DOUBLE),
        FieldSchema("expires_at", DataType.DOUBLE),
        FieldSchema(MARK_VECTOR, DataType.FLOAT_VECTOR, dim=2),
    ]
    schema = CollectionSchema(fields, description="marks on cached answers", enable_dynamic_field=False)
    index: dict[str, Any] = {"index_type": "FLAT", "metric_type": "COSINE", "params": {}}
    return _Collection(options.marks_name, schema, MARK_VECTOR, index)


def _verify(description: Mapping[str, Any], wanted: _Collection, options: MilvusOptions) -> None:
    columns = {field["name"]: field for field in description["fields"]}
    place = f"{options.target}: collection {wanted.name}"
    if set(columns) != {field.name for field in wanted.schema.fields}:
        raise OperatorError(f"{place} has other columns than this router writes; {_CURE}")
    dimension = int(columns[wanted.vector_field]["params"]["dim"])
    [expected] = [field.params["dim"] for field in wanted.schema.fields if field.name == wanted.vector_field]
    if dimension != expected:
        raise OperatorError(
            f"{place} holds vectors of {dimension} dimensions, the encoder makes {expected}; {_CURE}"
        )


async def _index(
    client: AsyncMilvusClient, wanted: _Collection, options: MilvusOptions, lite: LiteServer | None
) -> None:
    """Index the vectors unless they are. OperatorError when they are in another way than is configured: an
    index is as large as the collection, so it is not this router that drops it."""
    name, field, timeout = wanted.name, wanted.vector_field, options.timeout
    found = await client.list_indexes(name, field_name=field, timeout=timeout)
    if found:
        told = await client.describe_index(name, found[0], timeout=timeout)
        held = told | told.get("params", {})  # Lite keeps them apart, a server does not
        flat = {key: value for key, value in wanted.index.items() if key != "params"} | wanted.index["params"]
        for key, value in flat.items():
            if str(held.get(key)) != str(value):
                raise OperatorError(
                    f"{options.target}: collection {name} is indexed with {key} {held.get(key)}, "
                    f"the configuration says {value}; {_CURE}"
                )
    elif lite is not None:
        await lite.create_index(name, field, dict(wanted.index))
    else:
        index = IndexParams()
        index.add_index(field, **wanted.index)
        await client.create_index(name, index, timeout=timeout)
