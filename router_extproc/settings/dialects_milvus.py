"""`semantic_cache.milvus` as vLLM Semantic Router has it, whether it stood there or in a file of its own.

Most of it has the same names here. Keys without effect are gone by then (`dialects_inert`); what meant
something else there, or was read and not used, gets our meaning and a word.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from router_extproc.settings.dialects_draft import Draft
from router_extproc.settings.problem import Loc
from router_extproc.settings.refused import IN_THE_OPEN, SECTIONS

PLACE: Final = ("semantic_cache", "milvus")

UNSET_AT_ZERO: Final[tuple[tuple[str, ...], ...]] = (
    ("connection", "timeout"),
    ("collection", "vector_field", "dimension"),
    ("collection", "index", "params", "M"),
    ("collection", "index", "params", "efConstruction"),
    ("search", "params", "ef"),
)
"""Keys whose 0 there means the default."""

NOT_USED_THERE: Final = "has an effect here, and had none there: {what}, or remove it to go on as before"


def translate_milvus(draft: Draft) -> None:
    """Change it in place in `draft`, whose document has what the source has there."""
    milvus = _section(draft.document, PLACE)
    if milvus is None:
        return
    for name in sorted(SECTIONS & milvus.keys()):
        section = milvus.pop(name)
        if isinstance(section, Mapping):
            draft.only(section, (*PLACE, name), ())
        elif section is not None:
            draft.refuse((*PLACE, name), "must hold keys and values")
    for loc in UNSET_AT_ZERO:
        *sections, key = loc
        section = _section(milvus, sections)
        if section is not None and section.get(key) == 0 and section[key] is not False:
            del section[key]
    _translate_connection(milvus, draft)
    _translate_collection(milvus, draft)
    search = _section(milvus, ("search",))
    if search is not None and search.get("consistency_level") == "Session":
        search["consistency_level"] = "Bounded"
        draft.warn(
            (*PLACE, "search", "consistency_level"),
            "Session sees the writes of one connection, and replicas have one each: Bounded is used, and "
            "what this process wrote it has in memory",
            inert=False,
        )


def _translate_connection(milvus: dict[str, Any], draft: Draft) -> None:
    place: Loc = (*PLACE, "connection")
    connection = _section(milvus, ("connection",))
    if connection is None:
        return
    if connection.get("database", "default") != "default":
        what = NOT_USED_THERE.format(what="create this database in Milvus")
        draft.warn((*place, "database"), what, inert=False)
    for name, what in (
        ("auth", "set the password in the environment variable that password_env names (MILVUS_PASSWORD)"),
        ("tls", "Milvus is spoken to over TLS and its certificate is verified"),
    ):
        section = _section(connection, (name,))
        if section is None:
            continue
        # Absent is off there, and on here.
        if section.setdefault("enabled", False) is True:
            draft.warn((*place, name, "enabled"), NOT_USED_THERE.format(what=what), inert=False)
        if name == "auth" and section.pop("password", None) is not None:
            draft.warn((*place, name, "password"), IN_THE_OPEN)


def _translate_collection(milvus: dict[str, Any], draft: Draft) -> None:
    field = _section(milvus, ("collection", "vector_field"))
    place: Loc = (*PLACE, "collection")
    if field is not None and isinstance(field.get("dimension"), int):
        del field["dimension"]
        draft.warn(
            (*place, "vector_field", "dimension"),
            "the vectors have the dimension of the encoder here, as they had that of the one there",
        )
    if field is not None and field.get("metric_type") == "L2":
        field["metric_type"] = "COSINE"
        draft.warn(
            (*place, "vector_field", "metric_type"),
            "thresholds are of the cosine, so COSINE is used; of unit vectors both have the same neighbours",
            inert=False,
        )
    index = _section(milvus, ("collection", "index"))
    if index is not None and isinstance(index.get("type"), str) and index["type"] != "HNSW":
        del index["type"]
        draft.warn((*place, "index", "type"), "the index is HNSW whatever is written here, as it is there")


def _section(document: Any, loc: Sequence[str]) -> dict[str, Any] | None:
    node = document
    for part in loc:
        node = node.get(part) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None
