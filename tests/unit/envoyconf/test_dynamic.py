from dataclasses import replace

import pytest
import yaml

from router_extproc.envoyconf.clusters import EXT_PROC_CLUSTER
from router_extproc.envoyconf.dynamic import (
    CLUSTERS,
    Discovery,
    Files,
    render_files,
    with_leaving_clusters,
    with_leaving_routes,
)
from router_extproc.envoyconf.topology import Endpoint, KeyFromEnvironment, Model, Topology
from tests.unit.envoyconf.shipped import SHIPPED

FOLDER = "/etc/envoy"
MOVED = Model((Endpoint("10.0.0.9", 8000),))
CHANGED = replace(SHIPPED, models={"qwen3-8b": MOVED, "new": MOVED})
"""Of three models one stays on another server, two leave and one comes."""


def rendered(topology: Topology = SHIPPED) -> Files:
    return render_files(topology, FOLDER)


def names(of: Discovery) -> list[str]:
    return [each["name"] for each in of.resources]


def route_names(of: Discovery) -> list[str]:
    return [each["name"] for each in of.resources[0]["virtual_hosts"][0]["routes"]]


def test_equal_topologies_give_equal_files() -> None:
    assert rendered() == rendered()


def test_the_version_changes_with_the_content() -> None:
    assert rendered().clusters.version != rendered(CHANGED).clusters.version
    assert rendered().listeners.version == rendered(CHANGED).listeners.version
    assert rendered().bootstrap == rendered(CHANGED).bootstrap


def test_the_text_is_a_discovery_response() -> None:
    document = yaml.safe_load(rendered().clusters.text)
    assert document["version_info"] == rendered().clusters.version
    assert document["resources"][0]["@type"].endswith("envoy.config.cluster.v3.Cluster")


def test_what_was_written_can_be_read() -> None:
    clusters = rendered().clusters
    assert Discovery.read(clusters.text) == clusters


@pytest.mark.parametrize("text", ["", "a: 1", "resources: 3", "resources: [3]", "{", "- 1"])
def test_something_else_is_not_read_as_one(text: str) -> None:
    with pytest.raises(ValueError, match="not a file of resources"):
        Discovery.read(text)


def test_the_bootstrap_names_watched_files_and_a_private_socket() -> None:
    bootstrap = yaml.safe_load(rendered().bootstrap)
    source = bootstrap["dynamic_resources"]["cds_config"]["path_config_source"]
    assert source == {"path": f"{FOLDER}/{CLUSTERS}", "watched_directory": {"path": FOLDER}}
    assert bootstrap["admin"]["address"]["pipe"] == {"path": f"{FOLDER}/admin.sock", "mode": 0o600}
    assert "static_resources" not in bootstrap


def test_every_route_has_its_cluster() -> None:
    files = rendered()
    routes = files.routes.resources[0]["virtual_hosts"][0]["routes"]
    assert {each["route"]["cluster"] for each in routes} <= set(names(files.clusters))
    assert names(files.clusters)[0] == EXT_PROC_CLUSTER


def test_nothing_leaves_while_the_new_comes() -> None:
    old, new = rendered().clusters, rendered(CHANGED).clusters
    merged = with_leaving_clusters(new, old)
    assert set(names(merged)) == set(names(old)) | set(names(new))
    assert names(merged)[: len(names(new))] == names(new)
    assert with_leaving_clusters(merged, old) == merged


def test_routes_of_leaving_models_stay_before_the_new_default() -> None:
    old, new = rendered().routes, rendered(CHANGED).routes
    merged = route_names(with_leaving_routes(new, old))
    assert merged == [
        "model:qwen3-8b", "model:new", "model:qwen3-0.6b", "model:qwen3-32b", "default",
    ]  # fmt: skip


def test_a_model_that_moves_has_its_new_route_only() -> None:
    new = rendered(CHANGED).routes
    merged = with_leaving_routes(new, rendered().routes)
    route = next(
        each for each in merged.resources[0]["virtual_hosts"][0]["routes"] if each["name"] == "model:qwen3-8b"
    )
    assert route in new.resources[0]["virtual_hosts"][0]["routes"]


def test_a_key_has_a_file_that_its_cluster_names() -> None:
    keyed = replace(MOVED, api_key=KeyFromEnvironment("A_KEY"))
    files = rendered(replace(SHIPPED, models={"qwen3-8b": keyed}))
    ((name, secret),) = files.keys.items()
    assert f"{FOLDER}/{name}" in files.clusters.text
    assert "environment_variable: A_KEY" in secret.text
    assert rendered().keys == {}
