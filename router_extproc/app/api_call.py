"""What the commands that call a running router share: the token of the environment, the body of an answer,
and the errors a person sees. Knows no call and no configuration."""

import json
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import aiohttp

from router_extproc.app.api_tls import CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE
from router_extproc.app.token import is_word
from router_extproc.base.errors import OperatorError

TOKEN_VARIABLE: Final = "ROUTER_EXTPROC_TOKEN"  # noqa: S105 - a variable's name

ANSWER_BYTES: Final = 64 * 1024 * 1024
"""The longest answer that is read as a whole; one entry with its question may have tens of MiB."""


def token_of_environment() -> str | None:
    """The token in TOKEN_VARIABLE; None where there is none. Raises OperatorError for what is no token."""
    given = os.environ.get(TOKEN_VARIABLE, "").strip()
    if given and not is_word(given.encode()):
        raise OperatorError(f"{TOKEN_VARIABLE}: is not one word of ASCII characters")
    return given or None


@contextmanager
def plain_errors(address: str, cure: str) -> Iterator[None]:
    """Whatever goes wrong between here and the router at `address` is an OperatorError; `cure` is what to do
    where nothing answers."""
    try:
        yield
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        raise _untrusted(address, error) from error
    except aiohttp.ClientConnectorError as error:
        raise OperatorError(
            f"{address}: nothing answers there ({error.strerror or 'no connection'}); {cure}"
        ) from error
    except TimeoutError as error:
        raise OperatorError(
            f"{address}: no answer in time; the router's log says what it waits for"
        ) from error
    except aiohttp.ClientError as error:
        if isinstance(error.__cause__, ssl.SSLError):
            raise _untrusted(address, error.__cause__) from error
        where = "the router's log says why"
        if address.startswith("https:"):
            where += ", unless it asks clients for a certificate (client_ca_file): name one for this command"
        raise OperatorError(f"{address}: the answer broke off ({type(error).__name__}); {where}") from error


def _untrusted(address: str, error: Exception) -> OperatorError:
    """The router and this command do not trust each other, or one of them speaks no TLS."""
    verified = getattr(error, "certificate_error", error)
    why = getattr(verified, "verify_message", None) or getattr(verified, "reason", None)
    return OperatorError(
        f"{address}: no TLS connection ({str(why or type(error).__name__)[:200]}); the certificates are "
        f"those of listeners.api.tls, and with --api those that {CA_VARIABLE}, {CERTIFICATE_VARIABLE} and "
        f"{KEY_VARIABLE} name"
    )


async def document_of(response: aiohttp.ClientResponse, address: str) -> dict[str, Any]:
    """The JSON object in the body. Raises OperatorError for anything else, and for a very long one."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > ANSWER_BYTES:
            raise OperatorError(f"{address}: an answer of more than {ANSWER_BYTES} bytes; ask for less")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise OperatorError(
            f"{address}: something that is not this router answers there (status {response.status}); "
            "check listeners.api"
        )
    return document
