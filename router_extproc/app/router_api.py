"""A running router, asked how it does. Owns the address, the token and the deadlines. Knows nothing of what
is shown.

Of a configuration only the router's place is read, and leniently: a router goes on serving while it refuses
what stands in its file, and that is when people ask how it does.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import yaml

from router_extproc.app.api_call import TOKEN_VARIABLE, document_of, plain_errors, token_of_environment
from router_extproc.app.api_tls import PLAIN, Trust, trust_of, trust_of_environment
from router_extproc.app.configuration import reachable
from router_extproc.app.glance import (
    Glance,
    Recorded,
    message_of,
    read_decisions,
    read_overview,
    read_readiness,
)
from router_extproc.app.terminal import printable
from router_extproc.app.token import read_token
from router_extproc.base.errors import OperatorError
from router_extproc.settings.schema import Address, Listeners
from router_extproc.settings.tls_schema import ApiTls
from router_extproc.settings.yaml_file import MAX_BYTES, Loader

CONNECT_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 5.0
"""All calls of one look together. The router's own check of Envoy takes one second at most."""

DECISIONS: Final = "/api/v1/decisions"
NO_TOKEN: Final = f"they need the token: set {TOKEN_VARIABLE}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a router listens. Where `token` is None, `tokenless` says why; `cure` is what to do where nothing
    answers."""

    address: str
    token: str | None = field(repr=False)
    tokenless: str
    cure: str
    trust: Trust = PLAIN

    @classmethod
    def of(cls, config: Path, api: str | None) -> "Place":
        """`api`, or the address in the configuration `config`, which is not read otherwise, and which the
        router need not accept. The token is TOKEN_VARIABLE's, else that of the configuration, which is for
        its own address only. Raises OperatorError where there is no address; without a token there is much
        to see."""
        if api is not None:
            token, tokenless = _token(lambda: None)
            cure = "is a router running there? --api is the address of its HTTP API"
            address = _address(api)
            trust = trust_of_environment() if address.startswith("https:") else PLAIN
            return cls(address, token, tokenless, cure, trust)
        at, tls, path = _written_in(config)
        token, tokenless = _token(lambda: None if path is None else read_token(path))
        cure = (
            f"is the router of {config} running (`make up` starts it), and was listeners.api the same when "
            "it started? --api URL names a router that listens elsewhere"
        )
        scheme = "http" if tls is None else "https"
        return cls(f"{scheme}://{reachable(at)}", token, tokenless, cure, trust_of(config, tls))


def _token(otherwise: Callable[[], str | None]) -> tuple[str | None, str]:
    try:
        return token_of_environment() or otherwise(), NO_TOKEN
    except OperatorError as error:
        return None, str(error)


def _written_in(config: Path) -> tuple[Address, ApiTls | None, Path | None]:
    """`listeners.api`, its `tls` and the path of `admin.token_file`, with the defaults for what is not there
    or makes no sense, whatever else stands in the file. Raises OperatorError for a file that is not YAML."""
    top = _entries(_document(config))
    default = Listeners().api
    address = Address(address=default.address, port=default.port)
    given = _entries(_entries(top.get("listeners")).get("api"))
    for name in Address.model_fields.keys() & given.keys():
        with suppress(ValueError):  # no address or no port: the router has another
            changed = {**address.model_dump(), name: _scalar(given[name])}
            address = Address.model_validate(changed, strict=False)
    tls = _tls(given.get("tls"))
    token_file = _scalar(_entries(top.get("admin")).get("token_file"))
    if not isinstance(token_file, str) or "\0" in token_file:
        return address, tls, None
    return address, tls, config.parent / token_file


def _tls(node: yaml.Node | None) -> ApiTls | None:
    """None for what no router would have started with."""
    given = _entries(node)
    document: dict[str, object] = {key: _scalar(value) for key, value in given.items() if key != "client"}
    client = _entries(given.get("client"))
    if client:
        document["client"] = {key: _scalar(value) for key, value in client.items()}
    with suppress(ValueError):
        return ApiTls.model_validate(document)
    return None


def _document(config: Path) -> yaml.Node | None:
    """Before its tags, dates and numbers are looked at, any of which may be wrong."""
    cure = "mend it, or name the router with --api URL, for which no configuration is read"
    try:
        with config.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise OperatorError(f"{config}: cannot be read ({error.strerror}); {cure}") from error
    if len(text) > MAX_BYTES:
        raise OperatorError(f"{config}: has more than {MAX_BYTES} bytes; {cure}")
    try:
        return yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        where = "" if mark is None else f" (line {mark.line + 1})"
        raise OperatorError(f"{config}: is not valid YAML{where}; {cure}") from error


def _entries(node: yaml.Node | None) -> Mapping[str, yaml.Node]:
    """Of a mapping, with what it merges (`<<`); of a key that stands twice the last. Empty for all else."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    with suppress(yaml.YAMLError):  # merges what is no mapping; its own keys count all the same
        yaml.SafeLoader("").flatten_mapping(node)
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _scalar(node: yaml.Node | None) -> object:
    """None for what is no scalar, or not what its tag says."""
    if isinstance(node, yaml.ScalarNode):
        with suppress(yaml.YAMLError, ValueError):  # such as the date 2026-13-01
            return Loader("").construct_object(node)
    return None


def _address(api: str) -> str:
    """Without a slash at the end. Raises OperatorError."""
    wrong = OperatorError(f"--api: {printable(api)!r} is no address; write it as http://127.0.0.1:8080")
    try:
        parts = urlsplit(api)
        well = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise wrong from error
    if not well or parts.username is not None or parts.query or parts.fragment or not api.isprintable():
        raise wrong
    return api.rstrip("/")


@dataclass(frozen=True, slots=True)
class Documents:
    """What the API said: the status and the body of `/ready`, the overview, and the decisions with their
    status; None where they were not asked for."""

    ready: tuple[int, dict[str, Any]]
    overview: dict[str, Any]
    decisions: tuple[int, dict[str, Any]] | None


class RouterApi:
    """`session` is the caller's to close."""

    def __init__(self, place: Place, session: aiohttp.ClientSession) -> None:
        self._place = place
        self._session = session

    async def look(self, decisions: int = 0) -> Documents:
        """With up to `decisions` of the latest, if there is a token for them. Raises OperatorError, after
        LOOK_SECONDS at most."""
        with plain_errors(self._place.address, self._place.cure):
            async with asyncio.timeout(LOOK_SECONDS):
                status, overview = await self._get("/api/v1/overview")
                if status != 200:
                    raise self._refusal(status, overview)
                ready = await self._get("/ready")
                latest = None
                if decisions and self._place.token is not None:
                    latest = await self._get(f"{DECISIONS}?limit={decisions}", self._place.token)
                return Documents(ready, overview, latest)

    async def _get(self, path: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        address = self._place.address
        trust = self._place.trust
        async with self._session.get(
            address + path,
            headers=headers,
            allow_redirects=False,
            ssl=trust.context or True,
            server_hostname=trust.server_name,
        ) as response:
            return response.status, await document_of(response, address)

    def _refusal(self, status: int, document: Mapping[str, Any]) -> OperatorError:
        address = self._place.address
        if status == 404:
            return OperatorError(
                f"{address}: what answers there has no /api/v1/overview; is it this router's HTTP API, and "
                "of this version?"
            )
        said = printable(message_of(document))[:500] or "no reason was given"
        return OperatorError(f"{address}: {said} (status {status})")


def opened() -> aiohttp.ClientSession:
    """A session with the deadlines of these calls."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=LOOK_SECONDS, sock_connect=CONNECT_SECONDS)
    )


def glance_of(place: Place, documents: Documents) -> Glance:
    """What was said, read. Raises OperatorError where it cannot be read."""
    return Glance(
        place.address,
        read_readiness(*documents.ready),
        read_overview(documents.overview, place.address),
        _decisions(place, documents.decisions),
    )


def _decisions(place: Place, said: tuple[int, dict[str, Any]] | None) -> tuple[Recorded, ...] | str:
    """Or why they are not to be seen; the rest is shown all the same."""
    if said is None:
        return place.tokenless
    status, document = said
    match status:
        case 200:
            return read_decisions(document, place.address)
        case 401:
            return f"the router refuses this token; set {TOKEN_VARIABLE} to the one it has"
        case 404:
            return "this router does not tell of them"
        case _:
            return message_of(document) or f"status {status}"
