"""What the page's process is told when it is started."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """`folder` is for what the library writes and for the log. It listens on the Unix socket `socket`. `api`
    is the Unix socket of the router's API, `envoy` a URL without a path. `guarded`: the router has a token,
    and people must give it. `secure`: browsers come over TLS only. `parent` is the process whose page this
    is."""

    folder: Path
    socket: Path
    api: Path
    envoy: str
    guarded: bool
    secure: bool
    parent: int
