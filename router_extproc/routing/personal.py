"""Which models must not see the personal data of a request. Knows nothing of how the data was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from router_extproc.routing.analysis import Analysis
from router_extproc.screening.policy import PiiPolicy, sensitive


@dataclass(frozen=True, slots=True)
class Personal:
    """`types` of personal data count in this request; `denied` has those of them that a model must not see,
    by the names of the models of which there are any."""

    types: frozenset[str] = frozenset()
    denied: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def barred(self) -> frozenset[str]:
        """The models that must not see the request."""
        return frozenset(self.denied)


def personal(policy: PiiPolicy, key: str, analysis: Analysis | None) -> Personal:
    """`key` as in `Decision.cache_key`. Without an analysis nothing was found: what that means is not decided
    here."""
    if analysis is None or analysis.screening is None:
        return Personal()
    types = sensitive(policy, key, analysis.screening)
    denied = {model: policy.denied(key, model, types) for model in policy.models}
    return Personal(types, {model: kinds for model, kinds in denied.items() if kinds})


def explain_denial(model: str, types: frozenset[str]) -> str:
    """A sentence for the client: what stands in the way of `model`'s answer. Nothing the client wrote is in
    it."""
    kinds = ", ".join(sorted(types))
    return (
        f"This request was stopped because it holds personal data ({kinds}) that the privacy policy keeps "
        f"from the model '{model}'. Take that out and send it again."
    )
