"""`cache calibrate`: thresholds per category from labelled pairs."""

import json
import sys
from functools import partial
from pathlib import Path

from router_extproc.app.configuration import load
from router_extproc.app.evaluate import judge_of, judge_pairs, pairs_of, threshold_of
from router_extproc.app.mind import Mind
from router_extproc.app.models import find_bundle
from router_extproc.base.errors import OperatorError
from router_extproc.evaluation import calibration
from router_extproc.evaluation.calibration import Outcome
from router_extproc.evaluation.judge import EXACT
from router_extproc.evaluation.rows import read_pair_rows
from router_extproc.routing.compiled import DOMAIN


def calibrate(config: Path, file: Path, target_precision: float, *, min_pairs: int, as_json: bool) -> int:
    """Print, for each category in `file`, the lowest threshold whose precision reaches the target, what it
    costs, and the configuration it makes. Raises OperatorError."""
    if not 0 < target_precision <= 1:
        raise OperatorError(f"--target-precision: {target_precision:g} is not above 0 and at most 1")
    if min_pairs < 1:
        raise OperatorError(f"--min-pairs: {min_pairs} is not at least 1")
    configuration = load(config)
    rows = read_pair_rows(file)
    if all(row.a == row.b for row in rows):
        raise OperatorError(f"{file}: all pairs are of equal texts; a threshold decides on different ones")
    mind = Mind.load(find_bundle(configuration.settings), configuration)
    plan = mind.plan(configuration)
    pairs = pairs_of(rows, mind, plan.routing)
    outcomes = [
        Outcome(
            category=pair.b.category,
            held=pair.a.category,
            # Equal texts are exact matches also where the cache is not asked, as for blank ones.
            similarity=EXACT if pair.a.text == pair.b.text else verdict.guarded.similarity,
            now=verdict.shipped is not None,
            same=pair.same,
        )
        for pair, verdict in zip(pairs, judge_pairs(judge_of(mind, plan.cache), pairs), strict=True)
    ]
    report = calibration.calibrate(outcomes, target_precision, min_pairs, partial(threshold_of, plan.cache))
    known = mind.heads.on_vector[DOMAIN].labels
    sys.stdout.write(json.dumps(report.as_json(known)) + "\n" if as_json else report.as_text(known) + "\n")
    return 0
