"""The admin token's file: made once, read strictly, and only its owner's."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from router_extproc.app.token import admin_token, api_host, debug_token, is_private, read_token, token_path
from router_extproc.base.errors import OperatorError
from router_extproc.settings.load import load_settings
from router_extproc.settings.schema import Settings
from tests.support.stack import write_configuration


def settings_with(folder: Path, token_file: str | None) -> tuple[Path, Settings]:
    config = write_configuration(folder, admin={"token_file": token_file})
    return config, load_settings(config)


def test_a_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    config, settings = settings_with(tmp_path, "state/deep/token")
    first = admin_token(config, settings)
    path = tmp_path / "state/deep/token"
    assert first is not None
    assert len(first) >= 43  # 32 bytes in base64
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert list(path.parent.iterdir()) == [path]
    assert admin_token(config, settings) == first == read_token(path)
    path.unlink()
    assert admin_token(config, settings) != first


def test_the_debug_token_is_another_and_its_problems_name_its_key(tmp_path: Path) -> None:
    config, settings = settings_with(tmp_path, None)
    assert debug_token(config, settings) is None
    observability = settings.observability.model_copy(update={"debug_token_file": "debug.token"})
    settings = settings.model_copy(update={"observability": observability})
    made = debug_token(config, settings)
    assert made == read_token(tmp_path / "debug.token")
    assert debug_token(config, settings) == made
    (tmp_path / "debug.token").chmod(0o644)
    with pytest.raises(OperatorError, match="change the debug token"):
        debug_token(config, settings)


def test_without_a_file_there_is_no_token(tmp_path: Path) -> None:
    config, settings = settings_with(tmp_path, None)
    assert admin_token(config, settings) is None
    assert token_path(config, settings) is None


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    config, settings = settings_with(tmp_path / "a", str(tmp_path / "b" / "token"))
    assert token_path(config, settings) == tmp_path / "b" / "token"


def test_those_who_start_at_the_same_time_agree(tmp_path: Path) -> None:
    for attempt in range(20):
        config, settings = settings_with(tmp_path / str(attempt), "token")
        barrier = Barrier(4)

        def start(
            config: Path = config, settings: Settings = settings, barrier: Barrier = barrier
        ) -> str | None:
            barrier.wait(10)
            return admin_token(config, settings)

        with ThreadPoolExecutor(4) as pool:
            tokens = {future.result(10) for future in [pool.submit(start) for _ in range(4)]}
        assert len(tokens) == 1
        assert None not in tokens


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o601, 0o777])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    config, settings = settings_with(tmp_path, "token")
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(mode)
    with pytest.raises(OperatorError, match=r"token: others than its owner.*chmod 600") as raised:
        admin_token(config, settings)
    assert "secret" not in str(raised.value)
    path.chmod(0o400)
    assert admin_token(config, settings) == "secret"


@pytest.mark.parametrize(
    ("mode", "owner", "private"),
    [
        (0o100600, 7, True),
        (0o100400, 0, True),
        (
            0o100440,
            0,
            True,
        ),  # a Secret that is mounted for a Pod with an fsGroup
        (0o100640, 0, True),
        (0o100440, 7, False),  # our own file: who is in the group was not its giver's choice
        (0o100444, 0, False),
        (0o100460, 0, False),
        (0o100450, 0, False),
        (0o100404, 0, False),
    ],
)
def test_a_file_is_private_to_its_owner_or_given_to_read_by_another(
    mode: int, owner: int, private: bool
) -> None:
    assert is_private(mode, owner, user=7) is private


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"x" * 4097, "at most 4096 bytes"),
        (b"x" * 10_000_000, "at most 4096 bytes"),
        ("tökén".encode(), "ASCII"),
        (b"two words", "one word"),
        (b"a\nb", "one word"),
        (b"a\x00b", "one word"),
        (b"\xff\xfe", "ASCII"),
    ],
)
def test_what_is_no_token_is_refused_with_the_cure(tmp_path: Path, content: bytes, why: str) -> None:
    config, settings = settings_with(tmp_path, "token")
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(OperatorError, match=why) as raised:
        admin_token(config, settings)
    assert "delete the file" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == content


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    config, settings = settings_with(tmp_path, "token")
    os.mkfifo(tmp_path / "token", 0o600)
    with pytest.raises(OperatorError, match="is not a file"):
        admin_token(config, settings)


def test_a_place_that_cannot_be_written_leaves_the_router_without_these_calls(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, settings = settings_with(tmp_path, "/proc/token")
    with caplog.at_level(logging.WARNING):
        assert admin_token(config, settings) is None
    assert "/proc/token" in caplog.text
    assert "admin.token_file" in caplog.text


def test_a_folder_that_is_a_file_leaves_the_router_without_these_calls(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config, settings = settings_with(tmp_path, "file/token")
    assert admin_token(config, settings) is None


@pytest.mark.parametrize(
    ("address", "opened"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("10.1.2.3", "127.0.0.1"),
        ("router.example.com", "127.0.0.1"),
        ("::", "::1"),
        ("127.0.0.2", "127.0.0.2"),
        ("::1", "::1"),
        ("localhost", "localhost"),
    ],
)
def test_without_a_token_the_api_is_opened_on_loopback_only(address: str, opened: str) -> None:
    assert api_host(address, guarded=False) == opened
    assert api_host(address, guarded=True) == address
