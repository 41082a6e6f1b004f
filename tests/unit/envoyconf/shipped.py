"""The topology of `config/router.yaml`, written out."""

import functools

from router_extproc.envoyconf.render import render_envoy
from router_extproc.envoyconf.topology import Endpoint, HostPort, Model, Topology

SHIPPED = Topology(
    listener=HostPort("127.0.0.1", 8801),
    ext_proc=HostPort("127.0.0.1", 50051),
    models={
        "qwen3-0.6b": Model((Endpoint("127.0.0.1", 9001),)),
        "qwen3-8b": Model((Endpoint("127.0.0.1", 9002),)),
        "qwen3-32b": Model((Endpoint("127.0.0.1", 9003),)),
    },
    default_model="qwen3-8b",
    max_body_bytes=16 * 1024 * 1024,
)


@functools.cache
def shipped_text() -> str:
    """The rendered topology; rendering takes a quarter of a second."""
    return render_envoy(SHIPPED)
