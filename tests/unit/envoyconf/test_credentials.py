from dataclasses import replace

from envoy_data_plane.envoy.extensions.filters.http.credential_injector.v3 import CredentialInjector
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation
from envoy_data_plane.envoy.extensions.http.injected_credentials.generic.v3 import Generic

from router_extproc.base.names import ACCOUNTS, SECRETS
from router_extproc.envoyconf.credentials import credential_filters, secret_name, secrets
from router_extproc.envoyconf.topology import ApiKey, Endpoint, KeyFromEnvironment, KeyFromFile, Model
from tests.unit.envoyconf.shipped import SHIPPED

KEY = KeyFromEnvironment("A_KEY")


def unpacked(key: ApiKey, folder: str | None) -> tuple[HeaderMutation, CredentialInjector, Generic]:
    removal, injection, _ = credential_filters(key, folder)
    assert removal.typed_config is not None
    assert injection.typed_config is not None
    mutation, injector = removal.typed_config.unpack(), injection.typed_config.unpack()
    assert isinstance(mutation, HeaderMutation)
    assert isinstance(injector, CredentialInjector)
    assert injector.credential is not None
    assert injector.credential.typed_config is not None
    generic = injector.credential.typed_config.unpack()
    assert isinstance(generic, Generic)
    return mutation, injector, generic


def test_every_credential_of_the_client_is_removed_first() -> None:
    mutation, *_ = unpacked(KEY, None)
    assert mutation.mutations is not None
    removed = {each.remove for each in mutation.mutations.request_mutations}
    assert removed >= {*SECRETS, *ACCOUNTS, "cookie"}


def test_without_the_key_there_is_no_request() -> None:
    _, injector, generic = unpacked(KEY, None)
    assert injector.overwrite
    assert not injector.allow_request_without_credential
    assert (generic.header, generic.header_value_prefix) == ("Authorization", "Bearer ")


def test_the_key_comes_from_the_bootstrap_or_from_a_watched_file() -> None:
    *_, inside = unpacked(KEY, None)
    assert inside.credential is not None
    assert (inside.credential.name, inside.credential.sds_config) == (secret_name(KEY), None)
    *_, outside = unpacked(KEY, "/etc/envoy")
    assert outside.credential is not None
    assert outside.credential.sds_config is not None
    source = outside.credential.sds_config.path_config_source
    assert source is not None
    assert source.path == f"/etc/envoy/{secret_name(KEY)}.yaml"


def test_a_source_that_several_models_share_is_one_secret() -> None:
    model = Model((Endpoint("a", 1),), api_key=KEY)
    other = replace(model, api_key=KeyFromFile("/run/secrets/key"))
    models = {"a": model, "b": other, "c": model, "d": Model((Endpoint("a", 1),))}
    first, second = secrets(replace(SHIPPED, models=models, default_model="a"))
    assert first.generic_secret is not None
    assert first.generic_secret.secret is not None
    assert first.generic_secret.secret.environment_variable == "A_KEY"
    assert second.generic_secret is not None
    assert second.generic_secret.secret is not None
    assert second.generic_secret.secret.filename == "/run/secrets/key"


def test_a_variable_and_a_file_of_one_name_are_two_secrets() -> None:
    assert secret_name(KeyFromEnvironment("K")) != secret_name(KeyFromFile("K"))
