"""What a router opens beside ext_proc: the API with the page, and the metrics."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from aiohttp.web import RouteDef

from router_extproc.app.configuration import Configuration
from router_extproc.app.page import page_of
from router_extproc.app.token import api_host, is_loopback
from router_extproc.server.absence import routes_of_no_page
from router_extproc.server.http import Exposition, Site, serve_api, serve_metrics
from router_extproc.server.tls import Certificates
from router_extproc.telemetry.labels import Listening
from router_extproc.telemetry.metrics import CONTENT_TYPE

log = logging.getLogger(__name__)


async def serve_public(
    stack: AsyncExitStack,
    configuration: Configuration,
    routes: Sequence[RouteDef],
    token: str | None,
    exposition: Exposition,
    certificates: Mapping[Listening, Certificates],
    rest: Sequence[RouteDef] = (),
) -> None:
    """The API with the page, and the metrics, where the configuration says, until `stack` is left. `token`
    guards the API; `rest` are looked at last."""
    settings = configuration.settings
    api, exposed = settings.listeners.api, settings.listeners.metrics
    host = api_host(api.address, guarded=token is not None)
    if host != api.address:
        log.warning(
            "%s: listeners.api.address: %s is not opened without a token, %s is; set admin.token_file",
            configuration.path,
            api.address,
            host,
        )
    page = await stack.enter_async_context(page_of(configuration, guarded=token is not None))
    shown = routes_of_no_page() if page is None else page.forward.routes
    site = Site(
        host,
        api.port,
        "listeners.api",
        certificates.get(Listening.API),
        _names(host, api.allowed_hosts),
        None if page is None else page.api,
    )
    server = await serve_api(site, (*routes, *shown, *rest))
    stack.push_async_callback(server.stop)
    site = Site(
        exposed.address,
        exposed.port,
        "listeners.metrics",
        certificates.get(Listening.METRICS),
        _names(exposed.address, exposed.allowed_hosts),
    )
    server = await serve_metrics(site, exposition, CONTENT_TYPE)
    stack.push_async_callback(server.stop)
    if page is not None:
        # Pushed last, done first: web sockets would hold up the API's stop.
        stack.push_async_callback(page.forward.dismiss)


def _names(host: str, given: Sequence[str] | None) -> Sequence[str] | None:
    """On loopback none by default: whoever is on this machine knows it by an address or as localhost.
    Elsewhere any: a router on a network has the names that its network gives it."""
    return () if given is None and is_loopback(host) else given
