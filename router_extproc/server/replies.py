"""JSON answers of the HTTP API, errors in OpenAI's form. Knows nothing of what is asked for."""

import json
import logging
import traceback

from aiohttp import web
from aiohttp.typedefs import Handler

from router_extproc.llm.errors import error_body

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that cannot be served as it stands. The message is for the client, and for nobody else: it
    may name what the client wrote. `param` is the field or parameter at fault."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param


def json_reply(document: object, status: int = 200) -> web.Response:
    """`document` in ASCII: what has no UTF-8 form, a lone surrogate, is still an escape."""
    return web.Response(status=status, body=json.dumps(document).encode(), content_type="application/json")


def error_reply(status: int, message: str, param: str | None = None, code: str | None = None) -> web.Response:
    """`{"error": {...}}`, its type by the status."""
    kind = "authentication_error" if status == 401 else "invalid_request_error"
    body = error_body(message, kind if status < 500 else "server_error", param, code)
    return web.Response(status=status, body=body, content_type="application/json")


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong, the answer is JSON. A bug is logged with its place and without its message, which
    may hold what a client wrote."""
    try:
        return await handler(request)
    except RefusedError as error:
        return error_reply(error.status, error.message, error.param)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        reply = error_reply(error.status, f"{request.method} {request.path}: {error.reason}")
        if "Allow" in error.headers:
            reply.headers["Allow"] = error.headers["Allow"]
        return reply
    except ConnectionError:
        raise  # the client has left; aiohttp ends the exchange
    except Exception as error:
        place = "".join(traceback.format_tb(error.__traceback__))
        log.error("an answer of the HTTP API failed with %s at\n%s", type(error).__name__, place)
        return error_reply(500, f"the router failed ({type(error).__name__}); its log says where")
