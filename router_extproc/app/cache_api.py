"""The HTTP API of a running router, called from the command line. Owns the address, the token and the errors
a person sees. Knows nothing of what is printed."""

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp

from router_extproc.app.api_call import TOKEN_VARIABLE, document_of, plain_errors, token_of_environment
from router_extproc.app.api_tls import Trust, trust_of
from router_extproc.app.configuration import load, reachable
from router_extproc.app.terminal import printable
from router_extproc.app.token import read_token, token_path
from router_extproc.base.errors import OperatorError
from router_extproc.server.api.cache import PREFIX
from router_extproc.server.api.route import JSON
from router_extproc.server.replies import Code
from router_extproc.server.transfer import NDJSON
from router_extproc.settings.schema import Settings

CONNECT_SECONDS = 5.0
CALL_SECONDS = 60.0
"""Longer than the router waits for its store, so that its own error is the one that is seen."""

TRANSFER_SECONDS = 120.0
"""The longest pause in an export or import."""

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Api:
    """Where the router of the configuration `config` listens. `source` says where the token came from."""

    config: Path
    settings: Settings
    token: str = field(repr=False)
    source: str

    @classmethod
    def of(cls, config: Path) -> "Api":
        """The token is TOKEN_VARIABLE's, else the file's. Raises OperatorError."""
        settings = load(config).settings
        given = token_of_environment()
        if given is not None:
            return cls(config, settings, given, TOKEN_VARIABLE)
        path = token_path(config, settings)
        if path is None:
            raise OperatorError(
                f"{config}: admin.token_file: is not set, so the router refuses calls about its cache; "
                "set it and restart the router"
            )
        token = read_token(path)
        if token is None:
            raise OperatorError(
                f"{path}: there is no admin token; the router writes one when it starts: `make up`, or set "
                f"{TOKEN_VARIABLE} to the token of a router elsewhere"
            )
        return cls(config, settings, token, str(path))

    @property
    def address(self) -> str:
        api = self.settings.listeners.api
        return f"{'http' if api.tls is None else 'https'}://{reachable(api)}"

    def trust(self) -> Trust:
        """Raises OperatorError."""
        return trust_of(self.config, self.settings.listeners.api.tls)

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = NOTHING,
        document: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        """The answer to one request. Raises OperatorError."""

        async def once() -> dict[str, Any]:
            limits = aiohttp.ClientTimeout(total=CALL_SECONDS, sock_connect=CONNECT_SECONDS)
            body = None if document is None else json.dumps(document).encode()
            async with self.request(method, path, limits, query, body) as response:
                return await document_of(response, self.address)

        return asyncio.run(once())

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        limits: aiohttp.ClientTimeout,
        query: Mapping[str, str] = NOTHING,
        body: bytes | AsyncIterable[bytes] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer, its body not yet read. Whatever goes wrong before or in the `async with` is an
        OperatorError."""
        headers = {"authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["content-type"] = JSON if isinstance(body, bytes) else NDJSON
        cure = f"is the router of {self.config} (listeners.api) running? `make up` starts it"
        trust = self.trust()
        with plain_errors(self.address, cure):
            async with (
                aiohttp.ClientSession(timeout=limits) as session,
                session.request(
                    method,
                    f"{self.address}{PREFIX}{path}",
                    params=query,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    ssl=trust.context or True,
                    server_hostname=trust.server_name,
                ) as response,
            ):
                if response.status != 200:
                    raise await self._refusal(response)
                yield response

    async def _refusal(self, response: aiohttp.ClientResponse) -> OperatorError:
        error = (await document_of(response, self.address)).get("error")
        error = error if isinstance(error, dict) else {}
        message = printable(str(error.get("message", "no reason was given")))[:500]
        if response.status == 401:
            return OperatorError(
                f"{self.address}: the router refuses the token of {self.source}; it read its own when it "
                f"started: restart it, or set {TOKEN_VARIABLE} to the token it has"
            )
        if response.status == 404 and error.get("code") != Code.ENTRY_NOT_FOUND:
            return OperatorError(
                f"{self.address}: this router has no calls for its cache; set admin.token_file in "
                f"{self.config} and restart it"
            )
        return OperatorError(f"{self.address}: {message} (status {response.status})")
