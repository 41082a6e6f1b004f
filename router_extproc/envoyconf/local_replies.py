"""Envoy's own error answers in the OpenAI API's form, so that clients of that API can read them.

Answers that the router makes pass through the same stage of Envoy; they must not match here.
"""

from envoy_data_plane.envoy.config.accesslog import v3 as accesslog
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.access_loggers.filters.cel import v3 as cel
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.google.protobuf import Any, Struct

from router_extproc.envoyconf.away import UNJUDGED_STATUS

UPSTREAM_FAILURES = ("UH", "UF", "UO", "UC", "UR", "URX", "UPE", "SI", "DT")
"""Response flags of requests that no server answered. An answer of the router's has them only where it stands
in for a failing model; its details (`cache_...`) tell it apart."""

TOO_LARGE = "request_payload_too_large"
"""Envoy's response code details when a buffered body exceeds the limit; the router's own have its words."""

NO_KEY = "failed_to_inject_credential"
NOT_SERVED = "direct_response"
"""Envoy's response code details of a request to a provider whose key is not there, and of a route that
answers by itself."""


def local_replies(max_body_bytes: int, *, timed: bool = False) -> hcm.LocalReplyConfig:
    """`max_body_bytes` is the limit that the refusal of a larger body names. `timed`: a whole request has a
    time limit somewhere."""
    mappers = [_too_large(max_body_bytes), _no_key(), _unjudged(), _not_served(), _upstream_failed(timed)]
    return hcm.LocalReplyConfig(mappers=mappers)


def _too_large(max_body_bytes: int) -> hcm.ResponseMapper:
    message = f"The request body is larger than the limit of {max_body_bytes} bytes."
    return hcm.ResponseMapper(
        filter=_cel(f"response.code_details == '{TOO_LARGE}'"),
        body_format_override=_error(message, "invalid_request_error", TOO_LARGE),
    )


def _no_key() -> hcm.ResponseMapper:
    """Envoy answers 401, which a client would take for a fault of its own key."""
    message = "The gateway has no API key for this model's provider."
    return hcm.ResponseMapper(
        filter=_cel(f"response.code_details == '{NO_KEY}'"),
        status_code=503,
        body_format_override=_error(message, "api_error", "upstream_failed"),
    )


def _not_served() -> hcm.ResponseMapper:
    return hcm.ResponseMapper(
        filter=_cel(f"response.code_details == '{NOT_SERVED}'"),
        body_format_override=_error("%LOCAL_REPLY_BODY%", "invalid_request_error", "unknown_url"),
    )


def _unjudged() -> hcm.ResponseMapper:
    refused = f"response.code == {UNJUDGED_STATUS} && response.code_details == '{NOT_SERVED}'"
    return hcm.ResponseMapper(
        filter=_cel(refused),
        body_format_override=_error("%LOCAL_REPLY_BODY%", "server_error", "router_unavailable"),
    )


def _upstream_failed(timed: bool) -> hcm.ResponseMapper:
    flags = accesslog.ResponseFlagFilter(flags=[*UPSTREAM_FAILURES, *(["UT"] if timed else [])])
    return hcm.ResponseMapper(
        filter=accesslog.AccessLogFilter(
            and_filter=accesslog.AndFilter(
                filters=[
                    accesslog.AccessLogFilter(response_flag_filter=flags),
                    _cel("!response.code_details.startsWith('cache_')"),
                ]
            )
        ),
        body_format_override=_error("%LOCAL_REPLY_BODY%", "api_error", "upstream_failed"),
    )


def _cel(expression: str) -> accesslog.AccessLogFilter:
    extension = accesslog.ExtensionFilter(
        name="envoy.access_loggers.extension_filters.cel",
        typed_config=Any.pack(cel.ExpressionFilter(expression=expression)),
    )
    return accesslog.AccessLogFilter(extension_filter=extension)


def _error(message: str, kind: str, code: str) -> core.SubstitutionFormatString:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return core.SubstitutionFormatString(json_format=Struct.from_dict({"error": error}))
