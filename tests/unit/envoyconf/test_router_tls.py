"""TLS from Envoy to the router, as it is rendered."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from router_extproc.envoyconf.dynamic import render_files
from router_extproc.envoyconf.render import render_envoy
from router_extproc.envoyconf.topology import Model, RouterTls, Topology
from tests.support.providers import at, pool

TLS = RouterTls("/tls/ca.crt", "router.internal", "/own/tls.crt", "/own/tls.key")


def plan(tls: RouterTls | None) -> Topology:
    return replace(pool(Model((at(1),)), 50051), ext_proc_tls=tls)


def socket_of(document: Any) -> Any:
    (found,) = (each for each in document if each["name"] == "ext_proc")
    return found.get("transport_socket", {}).get("typed_config")


def in_one_file(tls: RouterTls | None) -> Any:
    return socket_of(yaml.safe_load(render_envoy(plan(tls)))["static_resources"]["clusters"])


def test_without_tls_there_is_no_socket() -> None:
    assert in_one_file(None) is None


def test_in_one_file_the_paths_stand_in_the_cluster() -> None:
    common = in_one_file(TLS)["common_tls_context"]
    assert common["alpn_protocols"] == ["h2"]
    assert common["validation_context"] == {
        "trusted_ca": {"filename": "/tls/ca.crt"},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "router.internal"}}],
    }
    (own,) = common["tls_certificates"]
    assert own["certificate_chain"] == {"filename": "/own/tls.crt"}
    assert own["private_key"] == {"filename": "/own/tls.key"}


def test_an_address_is_verified_as_one_and_is_no_server_name() -> None:
    socket = in_one_file(RouterTls("/tls/ca.crt", "10.0.0.1"))
    assert "sni" not in socket
    context = socket["common_tls_context"]
    (name,) = context["validation_context"]["match_typed_subject_alt_names"]
    assert name == {"san_type": "IP_ADDRESS", "matcher": {"exact": "10.0.0.1"}}
    assert "tls_certificates" not in context


@pytest.mark.parametrize("mutual", [True, False])
def test_in_a_folder_each_is_a_secret_that_is_watched_where_it_lies(mutual: bool) -> None:
    tls = TLS if mutual else RouterTls("/tls/ca.crt", "router.internal")
    files = render_files(plan(tls), "/envoy")
    common = socket_of(files.clusters.resources)["common_tls_context"]
    assert "validation_context" not in common
    trusted = common["validation_context_sds_secret_config"]["sds_config"]["path_config_source"]
    assert trusted["path"] == "/envoy/router-authorities.yaml"
    assert ("tls_certificate_sds_secret_configs" in common) is mutual
    watched = {
        name: next(part["watched_directory"]["path"] for part in secret.values() if isinstance(part, dict))
        for name, each in files.keys.items()
        for secret in each.resources
    }
    expected = {"router-authorities.yaml": "/tls"} | ({"router-certificate.yaml": "/own"} if mutual else {})
    assert watched == expected
