"""TLS from Envoy to the router. Who may read every prompt must prove its name: there is no form without.

In one file Envoy reads certificates when it starts. In a folder they are secrets of their own, which Envoy
watches and reads again when they are replaced.
"""

from pathlib import PurePosixPath
from typing import Final

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
from envoy_data_plane.google.protobuf import Any

from router_extproc.envoyconf.addresses import watched_file
from router_extproc.envoyconf.topology import RouterTls, Topology, is_ip
from router_extproc.envoyconf.upstream_tls import PROTOCOLS, subject

AUTHORITIES: Final = "router-authorities"
CERTIFICATE: Final = "router-certificate"


def router_socket(of: RouterTls, folder: str | None) -> core.TransportSocket:
    """`folder` holds the secrets' files; None means that they stand in the socket itself."""
    context = tls.CommonTlsContext(tls_params=PROTOCOLS, alpn_protocols=["h2"])
    if folder is None:
        context.validation_context = _authorities(of)
        context.tls_certificates = [] if of.certificate is None else [_certificate(of)]
    else:
        context.validation_context_sds_secret_config = _secret(AUTHORITIES, folder)
        if of.certificate is not None:
            context.tls_certificate_sds_secret_configs = [_secret(CERTIFICATE, folder)]
    name = "" if is_ip(of.server_name) else of.server_name
    upstream = tls.UpstreamTlsContext(sni=name, common_tls_context=context)
    return core.TransportSocket(name="envoy.transport_sockets.tls", typed_config=Any.pack(upstream))


def router_secrets(topology: Topology) -> list[tls.Secret]:
    """What the socket refers to, for the folder's files. Each is watched where it lies: a folder in which
    something is replaced by renaming, a file or the link by which a mounted Secret is exchanged."""
    of = topology.ext_proc_tls
    if of is None:
        return []
    trusted = _authorities(of)
    trusted.watched_directory = _folder_of(of.ca_file)
    found = [tls.Secret(name=AUTHORITIES, validation_context=trusted)]
    if of.certificate is not None:
        own = _certificate(of)
        own.watched_directory = _folder_of(of.certificate)
        found.append(tls.Secret(name=CERTIFICATE, tls_certificate=own))
    return found


def _authorities(of: RouterTls) -> tls.CertificateValidationContext:
    return tls.CertificateValidationContext(
        trusted_ca=core.DataSource(filename=of.ca_file),
        match_typed_subject_alt_names=[subject(of.server_name)],
    )


def _certificate(of: RouterTls) -> tls.TlsCertificate:
    return tls.TlsCertificate(
        certificate_chain=core.DataSource(filename=of.certificate),
        private_key=core.DataSource(filename=of.key),
    )


def _folder_of(path: str) -> core.WatchedDirectory:
    return core.WatchedDirectory(path=str(PurePosixPath(path).parent))


def _secret(name: str, folder: str) -> tls.SdsSecretConfig:
    return tls.SdsSecretConfig(name=name, sds_config=watched_file(folder, f"{name}.yaml"))
