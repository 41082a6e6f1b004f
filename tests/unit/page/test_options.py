import os
from pathlib import Path

import pytest

from router_extproc.app.configuration import Configuration, load
from router_extproc.app.page import command
from router_extproc.page.__main__ import main, parsed
from tests.support.stack import ROOT

FOLDER = Path("folder")


@pytest.fixture(scope="module")
def shipped() -> Configuration:
    return load(ROOT / "config" / "router.yaml")


@pytest.mark.parametrize("guarded", [True, False])
def test_the_process_understands_how_it_is_started(shipped: Configuration, guarded: bool) -> None:
    line = command(shipped, FOLDER, guarded=guarded)
    options = parsed(line[3:])
    assert options.socket == FOLDER / "page.sock"
    assert (options.api, options.envoy) == (FOLDER / "api.sock", "http://127.0.0.1:8801")
    assert (options.guarded, options.secure) == (guarded, False)


def test_no_secret_is_in_the_command_line(shipped: Configuration) -> None:
    assert "token" not in " ".join(command(shipped, FOLDER, guarded=True)[3:])


GIVEN = ("--socket=s", "--api=a", "--envoy=http://e")


def test_whose_page_it_is_can_be_said_and_is_otherwise_who_started_it() -> None:
    assert parsed(["--folder=f", *GIVEN]).parent == os.getppid()
    assert parsed(["--folder=f", *GIVEN, "--parent=7"]).parent == 7


def test_a_page_whose_router_has_ended_before_clears_up_and_ends(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "output.log").touch()
    assert main([f"--folder={folder}", *GIVEN, f"--parent={os.getpid()}"]) == 0
    assert not folder.exists()
