"""TLS from Envoy to a model's servers. Every socket made here verifies the server: there is no other form."""

import ipaddress
from collections.abc import Sequence
from typing import Final

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.transport_sockets.raw_buffer import v3 as raw_buffer
from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
from envoy_data_plane.envoy.type.matcher import v3 as matcher
from envoy_data_plane.google.protobuf import Any, Struct

from router_extproc.envoyconf.topology import Endpoint, Tls, is_ip

MATCH: Final = "envoy.transport_socket_match"
"""Where Envoy looks in an endpoint's metadata for the socket that it is to be spoken to with."""

PLAIN: Final = "plain"

PROTOCOLS: Final = tls.TlsParameters(
    tls_minimum_protocol_version=tls.TlsParametersTlsProtocol.TLSv1_2,
    tls_maximum_protocol_version=tls.TlsParametersTlsProtocol.TLSv1_3,
)
"""Envoy's own default for what it connects to ends at 1.2."""


def socket_name(of: Tls | None) -> str:
    """Distinct for different ways to connect within one cluster."""
    return PLAIN if of is None else f"{of.server_name} by {of.ca_file}"


def transport_socket(of: Tls | None) -> core.TransportSocket:
    if of is None:
        plain = Any.pack(raw_buffer.RawBuffer())
        return core.TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=plain)
    return core.TransportSocket(name="envoy.transport_sockets.tls", typed_config=Any.pack(_context(of)))


def socket_matches(endpoints: Sequence[Endpoint]) -> list[cluster.ClusterTransportSocketMatch]:
    """One for each way in which these servers are connected to; none when there is only one way."""
    ways = {socket_name(each.tls): each.tls for each in endpoints}
    if len(ways) == 1:
        return []
    return [
        cluster.ClusterTransportSocketMatch(
            name=name, match=Struct.from_dict({"socket": name}), transport_socket=transport_socket(way)
        )
        for name, way in ways.items()
    ]


def socket_metadata(of: Tls | None) -> core.Metadata:
    """What makes an endpoint match its socket among `socket_matches`."""
    return core.Metadata(filter_metadata={MATCH: Struct.from_dict({"socket": socket_name(of)})})


def _context(of: Tls) -> tls.UpstreamTlsContext:
    # Without `trusted_ca` Envoy would accept any certificate, and without a name one of anybody's.
    trusted = tls.CertificateValidationContext(
        trusted_ca=core.DataSource(filename=of.ca_file),
        match_typed_subject_alt_names=[subject(of.server_name)],
    )
    return tls.UpstreamTlsContext(
        # SNI carries names only (RFC 6066, section 3).
        sni="" if is_ip(of.server_name) else of.server_name,
        common_tls_context=tls.CommonTlsContext(
            tls_params=PROTOCOLS,
            validation_context=trusted,
        ),
    )


def subject(name: str) -> tls.SubjectAltNameMatcher:
    """Envoy's exact matcher of a DNS name also takes the wildcards of certificates (RFC 6125)."""
    kind = tls.SubjectAltNameMatcherSanType
    if is_ip(name):
        canonical = str(ipaddress.ip_address(name))
        return tls.SubjectAltNameMatcher(
            san_type=kind.IP_ADDRESS, matcher=matcher.StringMatcher(exact=canonical)
        )
    return tls.SubjectAltNameMatcher(san_type=kind.DNS, matcher=matcher.StringMatcher(exact=name))
