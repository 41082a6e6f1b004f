"""Header fields of clients that the router reads: each is understood or passed over, and says who asks."""

from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Uncached
from router_extproc.base.trace import parse_traceparent
from router_extproc.caching.control import FREE, parse_cache_control
from router_extproc.caching.policy import may_record, media_type
from router_extproc.caching.scope import Shared, Tenancy, TrustedHeader
from router_extproc.exchange.events import RequestHeaders
from router_extproc.exchange.intake import model_asked_for, not_ours

SEEDS = (
    b":method\0GET\n:path\0/v1/models/a%2fb?c\nx-vsr-cache-control\0no-store, max-age=5,ttl=0",
    b"traceparent\x0000-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\nauthorization\0Bearer k",
    b":method\0POST\n:path\0/v1/chat/completions\ncontent-type\0Application/JSON; charset=utf-8\nx-user\0a",
    b"x-user\0a\nx-user\0b\napi-key\0 bearer \nx-vsr-cache-control\0MAX-AGE=007,,bypass\n:status\x00200",
)
SCOPES = (Tenancy(), Tenancy(TrustedHeader("x-user")), Tenancy(Shared()))


def target(data: bytes) -> None:
    """Lines of a name, NUL and a value."""
    pairs = [line.partition(b"\0") for line in data.split(b"\n")]
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, _, value in pairs]
    headers = Headers.of(fields)
    assert sum(map(len, headers.fields.values())) == len(fields)
    control = parse_cache_control(headers.all("x-vsr-cache-control"))
    assert control.max_age >= 0 <= control.ttl
    if control == FREE:
        assert not "".join(headers.all("x-vsr-cache-control")).replace(",", "").strip()
    context = parse_traceparent(headers.all("traceparent"))
    assert context is None or parse_traceparent([context.header()]) == context
    for scope in SCOPES:
        tenant = scope.of(headers)
        assert isinstance(tenant, Uncached) or len(tenant) == 32
    model_asked_for(headers)
    not_ours(RequestHeaders(headers, end_of_stream=False, buffered=True))
    may_record(headers)
    assert ";" not in media_type(headers)
