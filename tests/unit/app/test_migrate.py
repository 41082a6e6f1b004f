"""`config migrate` and `check-config`, as commands."""

import shutil
from pathlib import Path

import pytest

from router_extproc.cli import main
from router_extproc.settings.dialects import Form
from router_extproc.settings.load import read_settings
from tests.support.stack import ROOT

EXAMPLE = ROOT / "config" / "examples" / "vsr-2025.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the example and the tools that it names."""
    shutil.copytree(EXAMPLE.parent, tmp_path / "config")
    return tmp_path / "config"


def test_migration_prints_our_form_and_says_the_rest_on_stderr(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "migrate", str(EXAMPLE)]) == 0
    said = capsys.readouterr()
    assert f"{EXAMPLE}: prompt_guard: nothing is guarded" in said.err
    ours = folder / "router.yaml"
    ours.write_text(said.out)
    assert read_settings(ours).settings == read_settings(EXAMPLE).settings
    assert main(["config", "migrate", str(ours)]) == 0
    again = capsys.readouterr()
    assert again.out == said.out
    assert again.err == ""


def test_a_file_written_elsewhere_still_finds_its_files(folder: Path) -> None:
    ours = folder.parent / "router.yaml"
    assert main(["config", "migrate", str(folder / EXAMPLE.name), "--output", str(ours)]) == 0
    loaded = read_settings(ours)
    assert loaded.form is Form.CANONICAL
    assert loaded.settings.tools.tools_db_path == "config/tools_db.json"


def test_the_file_to_migrate_is_not_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / EXAMPLE.name
    before = path.read_bytes()
    assert main(["config", "migrate", str(path), "--output", str(path)]) == 1
    assert "is the file to migrate" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_check_config_says_what_has_an_effect_and_what_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(EXAMPLE)]) == 0
    said = capsys.readouterr().out
    assert "read as the form of vLLM Semantic Router of late 2025" in said
    honoured, _, rest = said.partition("no effect (")
    assert "\n  keyword_rules (2): category, operator, keywords, case_sensitive\n" in honoured
    assert "prompt_guard" not in honoured
    assert "\n  prompt_guard: nothing is guarded: jailbreaks are not detected in this release" in rest


def test_a_broken_configuration_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(EXAMPLE.read_text().replace("prompt_guard:", "promt_guard:"))
    assert main(["check-config", str(path)]) == 1
    assert "promt_guard: unknown key; did you mean `prompt_guard`?" in capsys.readouterr().err
