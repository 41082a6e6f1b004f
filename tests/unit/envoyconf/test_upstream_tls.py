import pytest
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    SubjectAltNameMatcherSanType,
    TlsParametersTlsProtocol,
    UpstreamTlsContext,
)

from router_extproc.envoyconf.topology import Endpoint, Tls
from router_extproc.envoyconf.upstream_tls import (
    MATCH,
    socket_matches,
    socket_metadata,
    socket_name,
    transport_socket,
)

ONE, OTHER = Tls("/one.pem", "api.example.com"), Tls("/other.pem", "api.example.com")


def context(of: Tls) -> UpstreamTlsContext:
    config = transport_socket(of).typed_config
    assert config is not None
    unpacked = config.unpack()
    assert isinstance(unpacked, UpstreamTlsContext)
    return unpacked


def validation(of: Tls) -> CertificateValidationContext:
    common = context(of).common_tls_context
    assert common is not None
    assert common.validation_context is not None
    return common.validation_context


@pytest.mark.parametrize(
    ("name", "kind", "exact"),
    [
        ("api.example.com", SubjectAltNameMatcherSanType.DNS, "api.example.com"),
        ("10.0.0.1", SubjectAltNameMatcherSanType.IP_ADDRESS, "10.0.0.1"),
        ("0:0::1", SubjectAltNameMatcherSanType.IP_ADDRESS, "::1"),
    ],
)
def test_the_certificate_must_come_from_the_authorities_and_have_the_name(
    name: str, kind: SubjectAltNameMatcherSanType, exact: str
) -> None:
    trusted = validation(Tls("/ca.pem", name))
    assert trusted.trusted_ca is not None
    assert trusted.trusted_ca.filename == "/ca.pem"
    (required,) = trusted.match_typed_subject_alt_names
    assert required.san_type == kind
    assert required.matcher is not None
    assert required.matcher.exact == exact
    assert not trusted.allow_expired_certificate


def test_only_names_are_asked_for() -> None:
    assert context(ONE).sni == "api.example.com"
    assert context(Tls("/ca.pem", "10.0.0.1")).sni == ""


def test_old_versions_of_tls_are_not_spoken() -> None:
    common = context(ONE).common_tls_context
    assert common is not None
    assert common.tls_params is not None
    assert common.tls_params.tls_minimum_protocol_version == TlsParametersTlsProtocol.TLSv1_2
    assert common.tls_params.tls_maximum_protocol_version == TlsParametersTlsProtocol.TLSv1_3


def test_one_way_to_connect_needs_no_choice() -> None:
    assert socket_matches([Endpoint("a", 443, tls=ONE), Endpoint("b", 443, tls=ONE)]) == []


def test_each_server_finds_its_own_way_among_several() -> None:
    endpoints = [Endpoint("a", 443, tls=ONE), Endpoint("b", 443, tls=OTHER), Endpoint("c", 80)]
    matches = {each.name: each for each in socket_matches(endpoints)}
    assert len(matches) == 3
    for each in endpoints:
        found = matches[socket_name(each.tls)]
        assert found.match is not None
        assert found.match.to_dict() == socket_metadata(each.tls).filter_metadata[MATCH].to_dict()
        assert found.transport_socket is not None
        assert bytes(found.transport_socket) == bytes(transport_socket(each.tls))
