"""A minimal external processor for tests of Envoy's configuration.

It is no router of ours: it speaks the protocol through `envoy-data-plane`, so that a mistake of our codec
cannot hide a mistake of the configuration.
"""

import contextlib
from collections.abc import AsyncIterator, Callable

import grpc
from envoy_data_plane.envoy.config.core.v3 import (
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
)
from envoy_data_plane.envoy.service.ext_proc.v3 import (
    BodyResponse,
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    ProcessingRequest,
    ProcessingResponse,
)

from router_extproc.base.names import SELECTED_MODEL

MAX_MESSAGE_BYTES = 64 * 1024 * 1024


@contextlib.asynccontextmanager
async def processor(
    address: str, select: str | Callable[[], str], seen: list[ProcessingRequest] | None = None
) -> AsyncIterator[int]:
    """A processor that routes every request to the model `select`; gives its port (of a TCP address). A
    function is asked at the beginning of each stream. What Envoy sends is added to `seen`."""

    async def process(
        requests: AsyncIterator[ProcessingRequest], context: object
    ) -> AsyncIterator[ProcessingResponse]:
        model = select if isinstance(select, str) else select()
        async for request in requests:
            if seen is not None:
                seen.append(request)
            yield reply(request, model)

    handler = grpc.stream_stream_rpc_method_handler(
        process, request_deserializer=ProcessingRequest.parse, response_serializer=bytes
    )
    service = "envoy.service.ext_proc.v3.ExternalProcessor"
    options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Process": handler})])
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(grace=None)


def reply(request: ProcessingRequest, select: str) -> ProcessingResponse:
    """Continue; on the body, select the model."""
    if request.request_headers is not None:
        return ProcessingResponse(request_headers=HeadersResponse())
    if request.response_headers is not None:
        return ProcessingResponse(response_headers=HeadersResponse())
    assert request.request_body is not None
    selected = HeaderValueOption(
        header=HeaderValue(key=SELECTED_MODEL, raw_value=select.encode()),
        append_action=HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    common = CommonResponse(header_mutation=HeaderMutation(set_headers=[selected]), clear_route_cache=True)
    return ProcessingResponse(request_body=BodyResponse(response=common))
