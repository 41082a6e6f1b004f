"""What the page's process is started with, and the settings that say so. The process itself:
tests/component/test_page_failures.py."""

import os
from pathlib import Path
from typing import Any

import pytest

from router_extproc.app.configuration import Configuration, load
from router_extproc.app.page import command, require_library
from router_extproc.base.errors import OperatorError
from router_extproc.settings.schema import Page
from tests.support.stack import write_configuration


def configured(folder: Path, **changes: Any) -> Configuration:
    return load(write_configuration(folder, **changes))


def test_it_calls_the_api_where_that_listens_and_envoy_as_this_machine_reaches_it(tmp_path: Path) -> None:
    given = configured(tmp_path, listeners={"api": {"address": "0.0.0.0", "port": 18080}})
    envoy = given.settings.listeners.envoy.port
    guarded = command(given, tmp_path, guarded=True)
    assert {f"--api={tmp_path}/api.sock", f"--envoy=http://127.0.0.1:{envoy}", "--guarded"} <= set(guarded)
    assert "--guarded" not in command(given, tmp_path, guarded=False)


def test_it_is_told_whose_end_is_its_own(tmp_path: Path) -> None:
    assert f"--parent={os.getpid()}" in command(configured(tmp_path), tmp_path, guarded=False)


def test_envoy_may_be_elsewhere(tmp_path: Path) -> None:
    given = configured(tmp_path, page={"enabled": True, "envoy_url": "https://gateway.example"})
    assert "--envoy=https://gateway.example" in command(given, tmp_path, guarded=True)


@pytest.mark.parametrize(
    "url", ["gateway", "ftp://gateway", "https://user:word@gateway", "https://gateway/path", "https://g?a=b"]
)
def test_an_address_of_envoy_is_an_origin_without_a_credential(tmp_path: Path, url: str) -> None:
    with pytest.raises(OperatorError, match=r"page\.envoy_url"):
        configured(tmp_path, page={"enabled": True, "envoy_url": url})


def test_it_is_off_unless_configured_and_viewers_are_bounded(tmp_path: Path) -> None:
    given = Page()
    assert (given.enabled, given.max_viewers, given.envoy_url) == (False, 16, None)
    with pytest.raises(OperatorError, match=r"page\.max_viewers"):
        configured(tmp_path, page={"max_viewers": 65})


def test_without_the_library_the_cure_is_named() -> None:
    require_library()
    with pytest.raises(OperatorError, match=r"pip install 'router-extproc\[page\]'"):
        require_library("no_such_library_at_all")
