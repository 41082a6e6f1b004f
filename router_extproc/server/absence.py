"""What is said where the page cannot be had: it is off, away, hung, or looked at by too many. Each reason has
its status; people get it as a page that looks again by itself, programs as a line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from aiohttp import web

from router_extproc.server.replies import Code, RefusedError

PREFIX: Final = "/ui"
RETRY_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class Why:
    """`text` says what to do, or what goes on meanwhile."""

    status: int
    title: str
    text: str


STARTING: Final = Why(
    503,
    "The page is starting",
    "The router itself serves requests meanwhile. If it stays like this, the router's log says why.",
)
HUNG: Final = Why(
    504,
    "The page does not answer",
    "The router itself serves requests meanwhile, and starts the page again if it stays like this.",
)
BUSY: Final = Why(503, "Too many are looking at the page", "Try again in a moment.")
FULL: Final = Why(
    503, "Too many are looking at the page", "As many browsers as page.max_viewers look at it already."
)

DOCUMENT: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="refresh" content="{seconds}"><title>router-extproc</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh; }}
main {{ max-width: 28rem; padding: 1.5rem; }} h1 {{ font-size: 1.25rem; margin: 0 0 .5rem; }}
</style></head><body><main><h1>{title}</h1><p>{text} This looks again every {seconds} seconds.</p></main>
</body></html>"""


def told(request: web.Request, why: Why) -> web.Response:
    """The answer in the page's stead."""
    headers = {"retry-after": str(RETRY_SECONDS), "cache-control": "no-store"}
    if "text/html" in request.headers.get("accept", ""):
        text = DOCUMENT.format(seconds=RETRY_SECONDS, title=escape(why.title), text=escape(why.text))
        return web.Response(status=why.status, text=text, content_type="text/html", headers=headers)
    return web.Response(status=why.status, text=f"{why.title}. {why.text}", headers=headers)


def routes_of_no_page() -> Sequence[web.RouteDef]:
    """For a router whose page is off: its address names the setting."""
    return (web.get(PREFIX, _off), web.get(PREFIX + "/{rest:.*}", _off))


async def _off(_: web.Request) -> web.StreamResponse:
    raise RefusedError(
        Code.NOT_FOUND,
        "page.enabled is false: set it to true in the configuration and start the router again",
    )
