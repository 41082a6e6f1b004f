"""How many workers there are, where each listens, and what they cannot share."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc.app.configuration import (
    check_shareable,
    listened,
    listening,
    load,
    processes_of,
    topology_of,
)
from router_extproc.app.reload import check_reloadable
from router_extproc.base.errors import ConfigError
from router_extproc.envoyconf.topology import HostPort, UnixPath
from tests.support.stack import ROOT

SHIPPED = ROOT / "config" / "router.yaml"
MEMORY = {"backend_type": "memory", "backend_config_path": None}


def write(folder: Path, **changes: Any) -> Path:
    document = yaml.safe_load(SHIPPED.read_text())
    document["semantic_cache"] |= MEMORY
    for name, value in changes.items():
        document[name] = {**document[name], **value} if isinstance(document.get(name), dict) else value
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_workers_take_the_next_ports_and_envoy_knows_them(tmp_path: Path) -> None:
    configuration = load(write(tmp_path, workers=3))
    expected = tuple(HostPort("127.0.0.1", port) for port in (50051, 50052, 50053))
    assert processes_of(configuration) == expected
    topology = topology_of(configuration)
    assert (topology.ext_proc, *topology.more_ext_proc) == expected
    assert listening(configuration)["listeners.ext_proc of worker 2"] == ("127.0.0.1", 50053)


def test_a_socket_s_workers_have_their_number_behind_its_path(tmp_path: Path) -> None:
    configuration = load(write(tmp_path, workers=2, listeners={"ext_proc": {"path": "run/x.sock"}}))
    paths = [f"{tmp_path}/run/x.sock", f"{tmp_path}/run/x.sock.1"]
    assert processes_of(configuration) == tuple(UnixPath(path) for path in paths)
    assert [listened(each) for each in processes_of(configuration)] == [f"unix:{path}" for path in paths]
    assert "listeners.ext_proc" not in listening(configuration)


def test_the_command_s_number_counts_over_the_file_s_also_when_it_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, workers=3)
    configuration = load(path, workers=2)
    assert configuration.settings.workers == 2
    again = configuration.reread()
    assert again == configuration
    check_reloadable(configuration, again)
    with pytest.raises(ConfigError, match=r"shutdown: read at start only"):
        check_reloadable(configuration, load(write(tmp_path, shutdown={"drain_seconds": 1.0}), workers=2))


@pytest.mark.parametrize("workers", [0, 65])
def test_a_number_of_workers_that_makes_no_sense_is_refused(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ConfigError, match=f"--workers: {workers} is not in 1 to 64"):
        load(write(tmp_path), workers=workers)


def test_ports_of_workers_are_nobody_else_s(tmp_path: Path) -> None:
    path = write(tmp_path, listeners={"ext_proc": {"address": "127.0.0.1", "port": 8078}})
    load(path, workers=2)
    with pytest.raises(ConfigError, match=r"with --workers 3: listeners\.api: 127\.0\.0\.1:8080 is also"):
        load(path, workers=3)
    path = write(tmp_path, listeners={"ext_proc": {"address": "127.0.0.1", "port": 65535}}, workers=2)
    with pytest.raises(ConfigError, match="2 workers take the ports from 65535 to 65536"):
        load(path)


def test_an_address_beside_a_socket_has_no_effect(tmp_path: Path) -> None:
    path = write(tmp_path, listeners={"ext_proc": {"path": "x.sock", "port": 1}})
    with pytest.raises(ConfigError, match=r"listeners\.ext_proc\.port: has no effect with path"):
        load(path)


def test_milvus_lite_is_one_process_s() -> None:
    check_shareable(load(SHIPPED))
    with pytest.raises(
        ConfigError, match=r"workers: 2 processes cannot share .* give connection\.host"
    ) as caught:
        load(SHIPPED, workers=2)
    assert "cache/milvus.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
