"""`eval routing` with the encoder and the complexity head that ship."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from router_extproc.cli import main
from tests.support.encoder import real_bundle
from tests.support.stack import write_configuration

EASY = ["What is the capital of France?", "Set a timer for ten minutes.", "Play some jazz in the kitchen"]
HARD = [
    "Write a lock-free queue in C++20, prove that it is linearizable, and explain every memory order.",
    "Implement the Raft consensus algorithm in Java with tests that inject failures.",
]
ROWS: list[Mapping[str, Any]] = [
    *({"text": text, "weak_ok": True, "strong_ok": True} for text in EASY),
    *({"prompt": text, "mixtral": False, "gpt4": 1} for text in HARD),
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    real_bundle()
    return write_configuration(tmp_path_factory.mktemp("eval"))


def _run(config: Path, folder: Path, rows: Sequence[Mapping[str, Any]], *more: str) -> int:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return main(["eval", "routing", str(path), "--config", str(config), *more])


def test_hard_prompts_go_to_the_strong_model_first(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both of two gains come first: the curve is 1 from 2/5 on, and the area 1/2 * 2/5 + 3/5."""
    assert _run(config, tmp_path, ROWS, "--json", "--price-ratio", "10") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert list(document)[:5] == ["n", "apgr", "cpt50", "cpt80", "curve"]
    assert document["n"] == 5
    assert [document[key] for key in ("apgr", "cpt50", "cpt80")] == pytest.approx([0.8, 0.2, 0.32])
    assert document["always_weak"] == pytest.approx({"quality": 0.6, "cost": 0.1})
    assert document["shipped"][0]["at"]["strong_share"] == pytest.approx(0.4)
    assert "5 texts in" in err
    assert EASY[0] not in out + err


def test_the_table_is_for_people(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(config, tmp_path, ROWS) == 0
    assert capsys.readouterr().out.startswith("rows 5  APGR 0.8000  CPT(50) 0.2000  CPT(80) 0.3200")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "x", "weak_ok": True}, "rows.jsonl:6: strong_ok is missing"),
        ({"prompt": "x", "gpt4": True}, "rows.jsonl:6: mixtral is missing"),
        ({"weak_ok": True, "strong_ok": True}, "rows.jsonl:6: text is missing"),
        ({"text": "x", "weak_ok": "perhaps", "strong_ok": True}, "rows.jsonl:6: not a JSON object"),
    ],
)
def test_a_wrong_row_is_named_by_line_and_key(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: Mapping[str, Any], message: str
) -> None:
    assert _run(config, tmp_path, [*ROWS, row]) == 1
    assert message in capsys.readouterr().err


def test_outcomes_without_a_gap_are_refused(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(config, tmp_path, ROWS[:3]) == 1
    assert "there is no gap to recover" in capsys.readouterr().err


def test_a_price_without_a_use_is_refused(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    assert main(["eval", "domain", str(path), "--config", str(config), "--weak", "a"]) == 1
    assert "options of `eval routing`" in capsys.readouterr().err
