"""Are the addresses of a stack free? Asked before anything is started, so that one line names them all."""

import socket
from collections.abc import Mapping

from router_extproc.base.errors import PortTakenError


def require_free(addresses: Mapping[str, tuple[str, int]]) -> None:
    """`addresses` maps a configuration key to host and port. Raises PortTakenError naming every taken one."""
    taken = [f"{host}:{port} ({key})" for key, (host, port) in addresses.items() if not _is_free(host, port)]
    if taken:
        raise PortTakenError(
            f"already in use: {', '.join(taken)}; "
            "stop what listens there, or change the port in the configuration"
        )


def _is_free(host: str, port: int) -> bool:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise PortTakenError(f"{host}:{port} is no address of this machine: {error.strerror}") from error
    family, kind, protocol, _, place = found[0]
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError:
            return False
    return True
