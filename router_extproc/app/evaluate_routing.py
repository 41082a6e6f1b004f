"""`eval routing`: what the complexity head saves and loses between a weak and a strong model."""

import json
import sys
from math import isfinite
from pathlib import Path

from router_extproc.app.configuration import load
from router_extproc.app.mind import classifiers_of
from router_extproc.app.models import find_bundle
from router_extproc.app.parallel import on_all_cores
from router_extproc.base.errors import OperatorError
from router_extproc.encoder.complexity import STRONG
from router_extproc.encoder.loading import COMPLEXITY, Base, load_heads
from router_extproc.encoder.session import Options, open_encoder
from router_extproc.evaluation.routing import Prices, Threshold, evaluate_routing
from router_extproc.evaluation.rows import RoutingRow, read_routing_rows
from router_extproc.settings.routing_schema import ComplexitySignal
from router_extproc.settings.schema import Settings


def evaluate_routes(
    config: Path,
    file: Path,
    *,
    weak: str | None = None,
    strong: str | None = None,
    price_ratio: float | None = None,
    as_json: bool,
) -> int:
    """Print the report on `file`. Raises OperatorError. `weak` and `strong` are models of the
    configuration, as which the two of the outcomes are priced; `price_ratio` stands in for their prices."""
    configuration = load(config)
    settings = configuration.settings
    prices = prices_of(settings, weak, strong, price_ratio)
    rows = read_routing_rows(file)
    gap = sum(row.strong_ok for row in rows) - sum(row.weak_ok for row in rows)
    if gap <= 0:
        raise OperatorError(
            f"{file}: strong_ok is true in {sum(row.strong_ok for row in rows)} rows and weak_ok in "
            f"{sum(row.weak_ok for row in rows)}: there is no gap to recover; check which model is which"
        )
    bundle = find_bundle(settings)
    encoder = open_encoder(bundle, Options(max_tokens=settings.encoder.max_tokens))
    base = Base(bundle.base_revision, bundle.dimension, encoder.encode_many)
    # A classifier with `use_as_complexity` is asked in the shipped head's place.
    heads = load_heads({COMPLEXITY}, classifiers_of(configuration), base)
    on_text = heads.on_text.get(COMPLEXITY)

    def strong_share(row: RoutingRow) -> float:
        if on_text is not None:
            return on_text.probabilities(row.text)[STRONG]
        states = encoder.run(encoder.tokenise(row.text)).states
        return heads.on_vector[COMPLEXITY].probabilities(states)[STRONG]

    report = evaluate_routing(
        [row.weak_ok for row in rows],
        [row.strong_ok for row in rows],
        list(on_all_cores(strong_share, rows, len(rows), "texts")),
        prices,
        thresholds_of(settings),
    )
    sys.stdout.write(json.dumps(report.as_json()) + "\n" if as_json else report.as_text() + "\n")
    return 0


def thresholds_of(settings: Settings) -> tuple[Threshold, ...]:
    """The complexity signals that ask the head; without one, what such a signal has by default."""
    signals = settings.signals.complexity
    asked = [each for each in signals if not (each.hard_candidates or each.easy_candidates)]
    return tuple(
        Threshold(each.name, each.hard_above, each.easy_below)
        for each in asked or [ComplexitySignal(name="default")]
    )


def prices_of(settings: Settings, weak: str | None, strong: str | None, ratio: float | None) -> Prices | None:
    """What a call costs: of the models named, else of the cheapest and the dearest that have a price,
    prompt and completion counted as equally long. None where nothing is known and nothing was asked for.
    Raises OperatorError."""
    if ratio is not None:
        if weak is not None or strong is not None:
            raise OperatorError("--price-ratio: it stands in for --weak and --strong; give one or the other")
        if not (isfinite(ratio) and ratio > 0):
            raise OperatorError("--price-ratio: not a number above 0")
        return Prices(1.0, ratio)
    known = {
        name: model.pricing.prompt_per_1m + model.pricing.completion_per_1m
        for name, model in settings.models.items()
        if model.pricing is not None
    }
    for option, name in (("--weak", weak), ("--strong", strong)):
        if name is not None and name not in known:
            place = f"model_config.{name}.pricing" if name in settings.models else f"model_config.{name}"
            raise OperatorError(f"{option}: there is no {place}; add it, or give --price-ratio")
    if not known or (len(known) == 1 and weak is None and strong is None):
        return None
    prices = Prices(
        known[weak or min(known, key=lambda name: known[name])],
        known[strong or max(known, key=lambda name: known[name])],
    )
    if prices.strong <= 0:
        if weak is None and strong is None:
            return None
        raise OperatorError(
            "--strong: a model that costs nothing cannot be compared with; give --price-ratio"
        )
    return prices
