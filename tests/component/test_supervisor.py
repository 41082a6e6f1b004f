"""Child processes and ports, with real ones: what a local stack is made of."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from router_extproc.base.errors import OperatorError, PortTakenError
from router_extproc.supervisor.ports import require_free
from router_extproc.supervisor.process import Child
from router_extproc.supervisor.wait import until

IGNORES_SIGTERM = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
)


async def python(code: str, log: Path) -> Child:
    return await Child.start("the child", [sys.executable, "-c", code], log)


async def never() -> bool:
    return False


async def test_a_child_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    child = await python(
        "print('first'); print('the cause'); raise SystemExit(3)", tmp_path / "logs" / "x.log"
    )
    with pytest.raises(OperatorError) as caught:
        await until(never, "the child", 20, children=[child])
    assert str(caught.value) == (
        f"the child ended with exit code 3; its log {tmp_path / 'logs' / 'x.log'} ends: the cause"
    )
    await child.stop(1)


async def test_a_child_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    child = await python(IGNORES_SIGTERM, log)

    async def is_up() -> bool:
        return log.read_text() == "up\n"

    await until(is_up, "the child", 20, children=[child])
    await child.stop(0.1)
    assert child.process.returncode == -9


@pytest.mark.parametrize("env", [None, {"PATH": "/bin", "ONE": "1"}])
async def test_a_child_has_our_environment_or_the_one_given_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str] | None
) -> None:
    monkeypatch.setenv("OURS", "word")
    log = tmp_path / "x.log"
    child = await Child.start("the child", ["/usr/bin/env"], log, env)
    async with asyncio.timeout(20):
        assert await child.process.wait() == 0
    held = log.read_text().splitlines()
    assert ("OURS=word" in held) == (env is None)
    assert env is None or sorted(held) == ["ONE=1", "PATH=/bin"]


async def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"^Envoy cannot be run: /nowhere/envoy: No such file"):
        await Child.start("Envoy", ["/nowhere/envoy"], tmp_path / "x.log")


async def test_waiting_ends_with_the_deadline_or_the_operator() -> None:
    with pytest.raises(OperatorError, match="the moon did not answer within 0 s"):
        await until(never, "the moon", 0.1)
    stop = asyncio.Event()
    stop.set()
    await until(never, "the moon", 60, stop=stop)


def test_every_taken_port_is_named() -> None:
    with socket.socket() as one, socket.socket() as other:
        places = {}
        for name, taken in (("listeners.api", one), ("listeners.envoy", other)):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            places[name] = ("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(PortTakenError) as caught:
            require_free({**places, "listeners.metrics": ("127.0.0.1", 0)})
    for name, (host, port) in places.items():
        assert f"{host}:{port} ({name})" in str(caught.value)
    assert "listeners.metrics" not in str(caught.value)
    require_free(places)


def test_an_address_of_another_machine_is_told_apart() -> None:
    with pytest.raises(PortTakenError, match="is no address of this machine"):
        require_free({"listeners.api": ("no.such.host.invalid", 1)})
