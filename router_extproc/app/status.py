"""`status`: how a running router does, at one look."""

import asyncio
import json
import os
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Final

from router_extproc.app.glance import Glance, State, worries
from router_extproc.app.glance_view import status_view
from router_extproc.app.router_api import Documents, Place, RouterApi, glance_of, opened
from router_extproc.app.screen import show
from router_extproc.app.terminal import printable
from router_extproc.base.errors import OperatorError

READY: Final = 0
NOT_WELL: Final = 1
NOT_ASKED: Final = 2
"""Nothing answers, or nobody can say where the router is."""

CODES: Final = MappingProxyType({State.READY: READY, State.DEGRADED: NOT_WELL, State.NOT_READY: NOT_WELL})


def status(config: Path, *, api: str | None, as_json: bool) -> int:
    """READY, NOT_WELL or NOT_ASKED, the last with one line on stderr."""
    try:
        place = Place.of(config, api)
        documents = asyncio.run(_look(place))
        glance = glance_of(place, documents)
    except OperatorError as error:
        return not_asked(error)
    if as_json:
        sys.stdout.write(json.dumps(_document(glance, documents)) + "\n")
    else:
        show(status_view(glance), sys.stdout, os.environ)
    return CODES[glance.state]


def not_asked(error: OperatorError) -> int:
    """Not the exit code 1 of other commands: that is a router which answers and is not well."""
    sys.stderr.write(f"router-extproc: {printable(str(error))}\n")
    return NOT_ASKED


async def _look(place: Place) -> Documents:
    async with opened() as session:
        return await RouterApi(place, session).look()


def _document(glance: Glance, documents: Documents) -> dict[str, object]:
    """`readiness` and `overview` as the API gives them."""
    return {
        "address": glance.address,
        "state": glance.state.value,
        "reasons": [*glance.readiness.reasons, *worries(glance.overview)],
        "readiness": documents.ready[1],
        "overview": documents.overview,
    }
