import os

import uvicorn

from router_extproc.page.serve import _until_alone


async def _nobody(_: object, __: object, ___: object) -> None:
    raise AssertionError("nothing is served")


async def test_a_page_whose_router_ended_while_it_started_serves_nothing() -> None:
    server = uvicorn.Server(uvicorn.Config(_nobody, log_config=None))
    assert await _until_alone(server, os.getpid())
    assert not server.started
