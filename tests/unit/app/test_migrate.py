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
    assert (
        f"{EXAMPLE}: prompt_guard.{{use_modernbert, model_id, use_cpu, jailbreak_mapping_path}}: " in said.err
    )
    assert "prompt_guard: {enabled: true, threshold: 0.7}\n" in said.out
    assert "      pii_types_allowed: [AGE, DATE_TIME, GPE, NRP, ORGANIZATION, TITLE]\n" in said.out
    assert "  jailbreak_enabled: true\n  jailbreak_threshold: 0.8\n  pii_enabled: true\n" in said.out
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


def test_one_file_comes_of_two_and_needs_the_second_no_more(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    milvus = folder / "semantic-cache" / "milvus.yaml"
    tls = 'tls: {enabled: true, ca_file: "semantic-cache/ca.pem"}'
    text = milvus.read_text()
    milvus.write_text(text.replace('tls: {enabled: false, cert_file: "", key_file: "", ca_file: ""}', tls))
    (milvus.parent / "ca.pem").touch()
    ours = folder.parent / "router.yaml"
    assert main(["config", "migrate", str(folder / "vsr-milvus.yaml"), "--output", str(ours)]) == 0
    said = capsys.readouterr().err
    assert f"{milvus}: development.drop_collection_on_startup: this router never drops" in said
    milvus.unlink()
    loaded = read_settings(ours)
    assert (loaded.form, loaded.warnings) == (Form.CANONICAL, ())
    found = loaded.settings.semantic_cache.milvus
    assert found is not None
    assert (found.connection.host, found.collection.name) == ("milvus.internal", "answers")
    assert found.connection.tls is not None
    assert found.connection.tls.ca_file == "config/semantic-cache/ca.pem"


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
    assert "\n  prompt_guard: enabled, threshold\n" in honoured
    assert "jailbreak_enabled, jailbreak_threshold, pii_enabled\n" in honoured
    assert "\n  prompt_guard.threshold: was chosen for another classifier's scores" in rest
    assert "bert_model" not in honoured


def test_a_broken_configuration_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(EXAMPLE.read_text().replace("prompt_guard:", "promt_guard:"))
    assert main(["check-config", str(path)]) == 1
    assert "promt_guard: unknown key; did you mean `prompt_guard`?" in capsys.readouterr().err
