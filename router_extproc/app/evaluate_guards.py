"""`eval guard` and `eval pii`: what the guards that ship find in labelled texts.

Files are read twice, first to find wrong rows before a model is loaded, and never held: of each text only
what was found stays.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from router_extproc.app.configuration import Configuration, load
from router_extproc.app.mind import Mind
from router_extproc.app.models import find_bundle
from router_extproc.app.parallel import on_all_cores
from router_extproc.base.errors import OperatorError
from router_extproc.evaluation.guard import GuardReport, evaluate_guard
from router_extproc.evaluation.pii import Entity, PiiReport, evaluate_pii
from router_extproc.evaluation.rows import GuardRow, PiiRow, read_guard_rows, read_pii_rows
from router_extproc.screening.reading import Screened
from router_extproc.screening.spans import PII_TYPES
from router_extproc.settings.schema import Settings
from router_extproc.settings.screening import looks_for_pii

Screen = Callable[[str], Screened]
"""What the guards find in one text, as in the running router. Called from several threads."""


def evaluate_guards(config: Path, task: str, file: Path, *, as_json: bool) -> int:
    """Print the report of `task`: `guard` or `pii`. Raises OperatorError."""
    configuration = load(config)
    settings = configuration.settings
    if file.exists() and not file.is_file():
        raise OperatorError(f"{file}: not a regular file; it is read twice, so give a file and no pipe")
    report: GuardReport | PiiReport
    if task == "guard":
        enabled, threshold = settings.prompt_guard.enabled, settings.prompt_guard.threshold
        rows = sum(1 for _ in read_guard_rows(file))
        report = measure_guard(file, rows, _screen(configuration), threshold)
    else:
        enabled, threshold = looks_for_pii(settings), settings.classifier.pii_model.threshold
        rows = check_types(file, read_pii_rows(file))
        report = measure_pii(file, rows, _screen(configuration), threshold)
    document = {**report.as_json(), "threshold": threshold, "enabled": enabled}
    sys.stdout.write(json.dumps(document) + "\n" if as_json else report.as_text() + "\n")
    if not enabled:
        place = "prompt_guard" if task == "guard" else "classifier.pii_model"
        sys.stderr.write(f"{config}: {place} is off; these figures are of what it would find\n")
    return 0


def _screen(configuration: Configuration) -> Screen:
    """As the router of `configuration` looks, with both guards on."""
    awake = replace(configuration, settings=with_guards(configuration.settings))
    return Mind.load(find_bundle(awake.settings), awake).screen


def with_guards(settings: Settings) -> Settings:
    """The same with both guards on: a guard is measured before it is let loose on anybody."""
    model = settings.classifier.pii_model.model_copy(update={"enabled": True})
    return settings.model_copy(
        update={
            "prompt_guard": settings.prompt_guard.model_copy(update={"enabled": True}),
            "classifier": settings.classifier.model_copy(update={"pii_model": model}),
        }
    )


def measure_guard(file: Path, rows: int, screen: Screen, threshold: float) -> GuardReport:
    """The report on the `rows` rows of `file`. Raises OperatorError, also when nothing looks for attacks."""

    def judged(row: GuardRow) -> tuple[bool, str | None, float | None, bool]:
        found = screen(row.text)
        return row.label, row.family, found.attack, found.skipped > 0

    labels: list[bool] = []
    families: list[str | None] = []
    scores: list[float] = []
    skipped = 0
    for label, family, score, cut in on_all_cores(judged, read_guard_rows(file), rows, "texts"):
        if score is None:
            raise OperatorError(f"{file}: nothing here looks for attacks; build the models again")
        labels.append(label)
        families.append(family)
        scores.append(score)
        skipped += cut
    return evaluate_guard(labels, scores, threshold, families, skipped)


def measure_pii(file: Path, rows: int, screen: Screen, threshold: float) -> PiiReport:
    """The report on the `rows` rows of `file`; spans with a lower score than `threshold` do not count, as in
    the router. Raises OperatorError."""

    def compared(row: PiiRow) -> tuple[tuple[Entity, ...], tuple[Entity, ...]]:
        found = screen(row.text).spans
        return row.spans, tuple((at.start, at.end, at.type) for at in found if at.score >= threshold)

    pairs = list(on_all_cores(compared, read_pii_rows(file), rows, "texts"))
    return evaluate_pii([wanted for wanted, _ in pairs], [found for _, found in pairs])


def check_types(file: Path, rows: Iterable[PiiRow]) -> int:
    """The number of rows. OperatorError when nobody looks for any of their types: the file was made for
    something else. Spans of unknown types beside known ones count as missed, and stderr says how many."""
    number = 0
    types: Counter[str] = Counter()
    for row in rows:
        number += 1
        types.update(kind for _, _, kind in row.spans)
    unknown = {kind: count for kind, count in types.items() if kind not in PII_TYPES}
    if unknown:
        known = ", ".join(sorted(PII_TYPES))
        problem = f"{file}: {next(iter(unknown))!r} is no type that anything looks for ({known})"
        if len(unknown) == len(types):
            raise OperatorError(f"{problem}; rename the types of the file")
        missed = sum(unknown.values())
        sys.stderr.write(f"{problem}; it and others like it are missed, {missed} of {types.total()} spans\n")
    return number
