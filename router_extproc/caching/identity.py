"""Who may share a cached answer with whom: the isolation key.

Everything that can shape an answer is in the key, except the text that is compared by meaning. A field
is left out only when it is known to be harmless: `stream` and `stream_options.include_usage`, which
change the form of an answer and not its content. Unknown fields are in the key, so a new parameter of
the API can at worst cost a hit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from router_extproc.base.digest import digest


@dataclass(frozen=True, slots=True)
class Identity:
    """The place of one request in the cache.

    `partition` (32 hex characters) is the scope no lookup may cross; `entry_id` names the exact
    question inside it; `text` is what is compared by meaning. `tenant` is in the partition already, and
    kept beside it for operators to select by.
    """

    tenant: str
    partition: str
    entry_id: str
    text: str = field(repr=False)


def identify(
    *,
    tenant: str,
    model: str,
    query: str,
    context: Sequence[bytes],
    frame: bytes,
    params: Mapping[str, bytes],
    text: str,
    encoder: str,
    generation: str,
) -> Identity:
    """The identity of a request.

    `model` is the name the client asked for, aliases of the router folded into one. `query` is the query
    of the request's path, which some servers read settings from. `context` holds the
    messages before the last, `frame` the last message without its content, `params` every other field
    of the request: all as canonical JSON. `generation` identifies the routing policy, so that a changed
    policy never serves answers chosen by the one before.
    """
    parts = [tenant.encode(), model.encode(), encoder.encode(), generation.encode(), frame]
    parts.append(query.encode("latin-1"))
    parts.append(b"%d" % len(context))
    parts.extend(context)
    for name in sorted(params):
        parts += (name.encode("utf-8", "surrogatepass"), params[name])
    partition = digest("partition", parts)
    entry_id = digest("entry", (partition.encode(), text.encode("utf-8", "surrogatepass")))
    return Identity(tenant, partition, entry_id, text)
