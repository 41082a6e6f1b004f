"""Arguments and files that cannot be calibrated on, refused before a model is loaded."""

from pathlib import Path

import pytest

from router_extproc.app.calibrate import calibrate
from router_extproc.base.errors import OperatorError

CONFIG = Path(__file__).parents[3] / "config" / "router.yaml"


@pytest.mark.parametrize("target", [0.0, -1.0, 1.5, float("nan")])
def test_a_precision_that_is_no_share_is_refused(target: float) -> None:
    with pytest.raises(OperatorError, match=r"^--target-precision: .* is not above 0 and at most 1$"):
        calibrate(CONFIG, Path("absent"), target, min_pairs=30, as_json=False)


def test_at_least_one_pair_is_needed() -> None:
    with pytest.raises(OperatorError, match=r"^--min-pairs: 0 is not at least 1$"):
        calibrate(CONFIG, Path("absent"), 0.99, min_pairs=0, as_json=False)


def test_a_file_of_equal_texts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "x", "b": "x", "same": true}\n')
    with pytest.raises(OperatorError, match=r"rows\.jsonl: all pairs are of equal texts"):
        calibrate(CONFIG, path, 0.99, min_pairs=30, as_json=False)
