"""What the reader of docker-compose.yml and the machine make of it."""

from pathlib import Path

import pytest
import yaml

from tests.support.compose import Machine, interpolated, read_compose, seconds


@pytest.fixture
def machine() -> Machine:
    return Machine(
        names=frozenset({"router", "pool"}),
        ports={8080: 20001, 9001: 20002},
        paths={"/etc/router": Path("/here/etc"), "/etc/router/more": Path("/there")},
        programs={"tool": ("/bin/tool", "-x")},
        users={"1:1": "5:5"},
    )


def test_variables_are_replaced_as_compose_replaces_them() -> None:
    given = {"A": "1", "EMPTY": ""}
    assert interpolated("${A} $A ${B:-x} ${EMPTY:-y} [${B}] $$A $${A}", given) == "1 1 x y [] $A ${A}"


def test_merges_and_variables_are_resolved(tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    path.write_text("x-a: &a {k: '${V:-d}', n: 1}\nservices:\n  s: {<<: *a, n: 2, l: ['$V']}\n")
    assert read_compose(path, {"V": "v"})["services"] == {"s": {"k": "v", "n": 2, "l": ["v"]}}


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("http://router:8080/health", "http://127.0.0.1:20001/health"),
        ("http://127.0.0.1:8080/health", "http://127.0.0.1:20001/health"),
        ("/dev/tcp/127.0.0.1/8080", "/dev/tcp/127.0.0.1/20001"),
        ("for port in (9001, 8080)", "for port in (20002, 20001)"),
        ("0.0.0.0", "127.0.0.1"),
        ("/etc/router/router.yaml", "/here/etc/router.yaml"),
        ("/etc/router/more/x", "/there/x"),
        ("/var/etc/router", "/var/etc/router"),
        ("/etc/router-extproc", "/etc/router-extproc"),
        ("1:1", "5:5"),
        ("18080 8080.5 my-router:8080", "18080 20001.5 my-router:20001"),
    ],
)
def test_a_word_is_that_of_this_machine(machine: Machine, there: str, here: str) -> None:
    assert machine.text(there) == here


def test_a_configuration_changes_where_it_has_places_only(machine: Machine) -> None:
    document = yaml.safe_load(
        "{address: router, advertised_address: pool, port: 9001, hostname: 'pool:9001', kind: router,"
        " count: 9001, hosts: [{address: 0.0.0.0, port_value: 8080}], text: 'ask router: 8080'}"
    )
    assert machine.document(document) == {
        "address": "127.0.0.1",
        "advertised_address": "127.0.0.1",
        "port": 20002,
        "hostname": "127.0.0.1:20002",
        "kind": "router",
        "count": 9001,
        "hosts": [{"address": "127.0.0.1", "port_value": 20001}],
        "text": "ask router: 8080",
    }


def test_what_is_not_known_here_is_an_error(machine: Machine) -> None:
    with pytest.raises(KeyError):
        machine.document({"port": 8081})
    with pytest.raises(LookupError):
        machine.command(["other", "--flag"])
    with pytest.raises(ValueError, match="not understood"):
        seconds("1m30s")
    assert (machine.command(["tool", "router:8080"]), seconds("90s")) == (
        ["/bin/tool", "-x", "127.0.0.1:20001"],
        90.0,
    )
