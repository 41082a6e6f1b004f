"""The command line: every command has help, wrong words are refused, errors are one line."""

from pathlib import Path

import pytest

from router_extproc.cli import main

COMMANDS = [
    "serve",
    "up",
    "simulate",
    "check-config",
    "render-envoy",
    "explain",
    "models",
    "eval",
    "cache",
    "status",
    "top",
]
CACHE_ACTIONS = [
    "stats", "list", "show", "invalidate", "flush", "feedback", "export", "import", "warm", "calibrate",
]  # fmt: skip


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert name in text


@pytest.mark.parametrize(
    "words",
    [[name] for name in COMMANDS]
    + [["models", "build"], ["models", "verify"], ["config", "migrate"]]
    + [["cache", action] for action in CACHE_ACTIONS],
)
def test_every_command_has_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: router-extproc {' '.join(words)}")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["explain"],
        ["eval", "guess", "x"],
        ["models"],
        ["cache"],
        ["config"],
        ["config", "migrate"],
        ["cache", "forget"],
        ["cache", "invalidate"],
        ["cache", "invalidate", "--dry-run"],
        ["cache", "invalidate", "--all", "--tenant", "x"],
        ["cache", "invalidate", "--tenant", "x", "--model", "y"],
        ["cache", "list", "--limit", "many"],
        ["cache", "feedback", "x"],
        ["cache", "calibrate", "x"],
        ["top", "--interval", "soon"],
        ["top", "--json"],
        ["status", "now"],
    ],
)
def test_wrong_words_are_refused_with_the_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: router-extproc" in capsys.readouterr().err


def test_what_the_operator_can_mend_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(tmp_path / "none.yaml")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert (
        captured.err
        == f"router-extproc: {tmp_path / 'none.yaml'}: cannot be read: No such file or directory\n"
    )


def test_the_shipped_configuration_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    shipped = Path(__file__).parents[2] / "config" / "router.yaml"
    assert main(["check-config", str(shipped)]) == 0
    said = capsys.readouterr().out
    expected = "valid; 3 models, 14 categories, 0 decisions, default qwen3-8b, cache in memory and Milvus\n"
    assert said.startswith(f"{shipped}: {expected}honoured (")
    assert "no effect" not in said
