"""What understands prompts: the encoder, heads and verifier; and the plan a configuration makes of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_extproc.app.configuration import Configuration
from router_extproc.base.digest import digest
from router_extproc.base.errors import ConfigError, OperatorError
from router_extproc.encoder.bundle import Bundle
from router_extproc.encoder.classifier import ClassifierOptions
from router_extproc.encoder.cpu import available_threads
from router_extproc.encoder.guards import (
    GuardModel,
    GuardModels,
    TrunkAttacks,
    TrunkTagger,
    open_attacks,
    open_tagger,
)
from router_extproc.encoder.heads import GUARD_WEIGHTS, load_head
from router_extproc.encoder.judging import judged
from router_extproc.encoder.loading import COMPLEXITY, Base, ByExamples, ByModel, Heads, load_heads
from router_extproc.encoder.screener import Screener
from router_extproc.encoder.session import Options, SentenceEncoder, open_encoder
from router_extproc.encoder.verifier import CrossEncoder, open_verifier
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import DOMAIN, RoutingPolicy
from router_extproc.routing.signals import LabelSignal
from router_extproc.routing.tools import ToolBox
from router_extproc.screening.reading import Screened
from router_extproc.settings.compile import compile_snapshot
from router_extproc.settings.guard_schema import PiiModel, PromptGuard
from router_extproc.settings.routing import compile_routing, domain_head
from router_extproc.settings.routing_schema import CustomClassifier
from router_extproc.settings.schema import Settings
from router_extproc.settings.screening import compile_screening


@dataclass(frozen=True, slots=True)
class Mind:
    """Loaded and tested. `revision` is that of the encoder's weights; `verifier` is None where the cache has
    none. `guards` are the user's own models in the screener."""

    revision: str
    encoder: SentenceEncoder
    verifier: CrossEncoder | None
    heads: Heads
    screener: Screener
    guards: GuardModels = field(default_factory=GuardModels)

    @classmethod
    def load(cls, bundle: Bundle, configuration: Configuration) -> "Mind":
        """Blocks for a second or two, longer with classifiers. Raises OperatorError."""
        settings = configuration.settings
        # Half: the event loop and Envoy need the rest, and the second thread gains a tenth on short prompts.
        threads = settings.encoder.threads or max(1, available_threads(settings.workers) // 2)
        encoder = open_encoder(bundle, Options(threads=threads, max_tokens=settings.encoder.max_tokens))
        verifier = open_verifier(bundle, threads) if settings.semantic_cache.verifier.enabled else None
        guards = guard_models(configuration)
        guard = load_head(GUARD_WEIGHTS, bundle.base_revision, bundle.dimension)
        attacks = open_attacks(guards.attacks, threads) if guards.attacks else TrunkAttacks(guard)
        tagger = open_tagger(guards.pii, threads) if guards.pii else TrunkTagger(bundle.types)
        screener = Screener(encoder, attacks, tagger, settings.screening.max_tokens)
        mind = cls(bundle.base_revision, encoder, verifier, Heads({}, {}), screener, guards)
        return mind.prepared(configuration)

    def prepared(self, configuration: Configuration) -> "Mind":
        """The same encoder and guards with the heads that `configuration` needs. Blocks; raises
        OperatorError, also where it asks for other models of the guards."""
        settings = configuration.settings
        check_guards(configuration, self.guards)
        routing = compile_routing(settings, self.embed)
        # The domain is reported, and measured, even where nothing is decided by it.
        needs = routing.needs.heads | {domain_head(settings), DOMAIN}
        base = Base(self.revision, self.encoder.dimension, self.embed)
        heads = load_heads(needs, classifiers_of(configuration), base)
        check_domain(configuration, routing, heads)
        return replace(self, heads=heads)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encoder.encode_many(texts)

    def analyse(self, text: str) -> Analysis:
        """What one encoder pass and all heads say about `text`; a head that fails is named in `failed`. Safe
        in threads; raises OperatorError."""
        tokens = self.encoder.tokenise(text)
        reading = self.encoder.run(tokens)
        if not np.isfinite(reading.states).all():
            raise OperatorError(
                "the encoder gave a vector that is not finite; `router-extproc models verify` checks it"
            )
        failures: dict[str, BaseException] = {}
        on_states = judged(self.heads.on_vector, reading.states, failures)
        return Analysis(
            reading.vector,
            on_states | judged(self.heads.on_text, text, failures),
            self.encoder.encoder,
            len(tokens.ids),
            tokens.truncated,
            failed=tuple(failures),
            screening=self.screener.screen_all((text,), (tokens, reading)),
        )

    def screen(self, text: str) -> Screened:
        """What the guards find in `text`."""
        return self.screener.screen(text)

    def plan(
        self, configuration: Configuration, tenant_key: bytes = b"", debug_token: str | None = None
    ) -> Snapshot:
        """Blocks while phrases are embedded. Raises ConfigError."""
        settings = configuration.settings
        content = configuration.tools
        return compile_snapshot(
            settings,
            encoder=self.encoder.encoder,
            heads=digest(
                "heads", (*self.heads.as_bytes(), self.encoder.words.as_bytes(), self.screener.as_bytes())
            ),
            embed=self.embed,
            tenant_key=tenant_key,
            tools_db=content,
            tools=self._toolbox(settings, content),
            debug_token=debug_token,
        )

    def _toolbox(self, settings: Settings, content: bytes) -> ToolBox | None:
        """`content` was checked with the configuration."""
        if not settings.tools.enabled:
            return None
        entries: list[dict[str, Any]] = json.loads(content)
        return ToolBox(
            tools=tuple(entry["tool"] for entry in entries),
            vectors=self.embed([entry["description"] for entry in entries]),
            top_k=settings.tools.top_k,
            threshold=settings.tools.similarity_threshold,
            fallback_to_empty=settings.tools.fallback_to_empty,
        )


def classifiers_of(configuration: Configuration) -> list[ByExamples | ByModel]:
    """Those of the user's own. One that stands in for the complexity head is there under that name too."""
    found: list[ByExamples | ByModel] = []
    for given in configuration.settings.classifiers:
        found.append(_classifier(given, configuration.path.parent))
        if given.use_as_complexity:
            found.append(replace(found[-1], name=COMPLEXITY))
    return found


def guard_models(configuration: Configuration) -> GuardModels:
    """The models that the guards which are on bring with them: of one that is off, none is loaded."""
    settings, folder = configuration.settings, configuration.path.parent
    attacks, pii = _looking(settings)
    return GuardModels(
        attacks=_guard_model(settings.prompt_guard, folder) if attacks else None,
        pii=_guard_model(settings.classifier.pii_model, folder) if pii else None,
    )


def check_guards(configuration: Configuration, loaded: GuardModels) -> None:
    """Raises ConfigError where a guard that is on asks for another model than was loaded."""
    wanted = guard_models(configuration)
    attacks, pii = _looking(configuration.settings)
    changed = ["prompt_guard"] if attacks and wanted.attacks != loaded.attacks else []
    if pii and wanted.pii != loaded.pii:
        changed.append("classifier.pii_model")
    if changed:
        keys = ", ".join(
            f"{section}.{key}" for section in changed for key in ("path", "max_tokens", "labels")
        )
        raise ConfigError(
            f"{configuration.path}: {keys}: read at start only, as is the model of a guard that was off; "
            "restart the router, or set them back and the other changes are taken over"
        )


def check_domain(configuration: Configuration, routing: RoutingPolicy, heads: Heads) -> None:
    """Raises ConfigError where a model stands in for the domain head and says nothing of what is asked."""
    model = heads.on_text.get(routing.domain)
    asked = set(routing.categories)
    for signal in routing.signals.values():
        if isinstance(signal, LabelSignal) and signal.head == routing.domain:
            asked |= set(signal.labels)
    if model is not None and asked and asked.isdisjoint(model.labels):
        raise ConfigError(
            f"{configuration.path}: classifiers: the labels of {routing.domain!r} "
            f"({', '.join(model.labels)}) are none of the categories and domains that are asked for "
            f"({', '.join(sorted(asked))}); map them with its `labels`"
        )


def _looking(settings: Settings) -> tuple[bool, bool]:
    """Whether anybody looks for attacks, and for personal data: in requests, or in answers to be kept."""
    policy = compile_screening(settings)
    return (
        policy.guard.enabled or policy.answers.guard is not None,
        policy.pii.enabled or policy.answers.pii is not None,
    )


def _guard_model(given: PromptGuard | PiiModel, folder: Path) -> GuardModel | None:
    if given.path is None:
        return None
    return GuardModel((folder / given.path).resolve(), given.max_tokens, dict(given.labels))


def _classifier(given: CustomClassifier, folder: Path) -> ByExamples | ByModel:
    if given.path is None:
        return ByExamples(given.name, {each.name: each.examples for each in given.classes})
    options = ClassifierOptions(max_tokens=given.max_tokens, labels=dict(given.labels))
    return ByModel(given.name, (folder / given.path).resolve(), options)
