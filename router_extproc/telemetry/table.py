"""What a metric is: its name as exposed, its labels and what bounds their values, its buckets, and whose name
it is. `collectors.METRICS` has all of them; those and `docs/METRICS.md` are made from that.

A client can never mint a label's value: each comes from an enum, from the configuration, or from a fixed
list. `tests/property/test_labels.py` holds the running exchange to that.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Prometheus's type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Whose(StrEnum):
    """Who named a metric first."""

    PEER = "vLLM Semantic Router, late 2025"
    PEER_LATER = "vLLM Semantic Router, later"
    OURS = "ours"


class Configured(StrEnum):
    """Where the values of a label come from that no enum lists. All are the operator's."""

    MODELS = "models and adapters of the pool"
    CATEGORIES = "labels of the domain head, and the configuration's categories"
    DECISIONS = "the configuration's decisions"
    HEADS = "heads of the encoder, and the configuration's classifiers"
    FAMILIES = "the configuration's reasoning families"
    PARAMETERS = "parameters of the reasoning families"
    CURRENCIES = "currencies of the models' prices"
    GENERATION = "the digest of the configuration in force; one at a time"
    WORKER = "numbers of the workers, from 0"


Values = type[StrEnum] | tuple[str, ...] | Configured


@dataclass(frozen=True, slots=True)
class Label:
    """`values` bounds what the label may say; `more` are words beside them."""

    name: str
    values: Values
    more: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """Every value that does not depend on the configuration."""
        if isinstance(self.values, Configured):
            return self.more
        if isinstance(self.values, tuple):
            return (*self.values, *self.more)
        return (*(each.value for each in self.values), *self.more)


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` is what a query asks for: a counter's ends in `_total`. A histogram's series are this name with
    `_bucket`, `_sum` and `_count`. `unit` is of its values, "" for a plain count."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()
    whose: Whose = Whose.OURS

    def __post_init__(self) -> None:
        if (self.kind is Kind.COUNTER) and not self.name.endswith("_total"):
            raise ValueError(f"{self.name}: a counter is exposed with _total")
        if (self.kind is Kind.HISTOGRAM) != bool(self.buckets):
            raise ValueError(f"{self.name}: a histogram, and nothing else, has buckets")

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which samples are scraped."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(self.name + suffix for suffix in ("_bucket", "_sum", "_count"))
        return (self.name,)

    def labels_of(self, series: str) -> frozenset[str]:
        """The labels of the samples called `series`, one of `self.series`."""
        names = frozenset(label.name for label in self.labels)
        return names | {"le"} if self.kind is Kind.HISTOGRAM and series.endswith("_bucket") else names


@dataclass(frozen=True, slots=True)
class Absent:
    """A name of the peer's that nothing here is counted under, and why."""

    name: str
    reason: str
