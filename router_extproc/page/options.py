"""What the page's process is told when it is started."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """`folder` is for what the library writes and for the log. It listens on the Unix socket `socket`. `api`
    and `envoy` are URLs without a path. `guarded`: the router has a token, and people must give it. `parent`
    is the process whose page this is."""

    folder: Path
    socket: Path
    api: str
    envoy: str
    guarded: bool
    parent: int
