"""The token without which nothing of a guarded route happens. Knows nothing of the routes.

A web page that a browser of this machine has open cannot send the token, whatever name it reached this
address by: no cookie and no address is trusted.
"""

import hmac
from collections.abc import Sequence

from aiohttp import web

from router_extproc.server.replies import Code, error_reply

CHALLENGE = 'Bearer realm="router-extproc"'


def holds(values: Sequence[str], token: str) -> bool:
    """Whether the `authorization` fields of a request are exactly one `Bearer TOKEN` (RFC 6750, section 2.1).
    The comparison takes the same time wherever the two differ."""
    if len(values) != 1:
        return False
    scheme, _, given = values[0].partition(" ")
    # A byte that is not UTF-8 arrives as a surrogate: it is compared as the byte it was.
    presented = given.strip().encode("utf-8", "surrogateescape")
    return hmac.compare_digest(presented, token.encode()) and scheme.lower() == "bearer"


def barred(request: web.Request, token: str | None) -> web.Response | None:
    """The refusal of a request that does not hold `token`, None for one that does. Without a token nobody is
    let in. The body is not read."""
    if token is None:
        return error_reply(
            Code.TOKEN_NOT_CONFIGURED,
            "this call needs a token, and this router has none; set admin.token_file and restart it",
        )
    if holds(request.headers.getall("authorization", ()), token):
        return None
    reply = error_reply(
        Code.UNAUTHORIZED,
        "a valid `Authorization: Bearer TOKEN` is required; the token is in admin.token_file",
    )
    reply.headers["WWW-Authenticate"] = CHALLENGE
    return reply
