"""What understands prompts: the encoder, heads and verifier; and the plan a configuration makes of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_extproc.app.configuration import Configuration
from router_extproc.base.digest import digest
from router_extproc.base.errors import OperatorError
from router_extproc.encoder.bundle import Bundle
from router_extproc.encoder.classifier import ClassifierOptions
from router_extproc.encoder.cpu import available_threads
from router_extproc.encoder.heads import GUARD_WEIGHTS, load_head
from router_extproc.encoder.judging import judged
from router_extproc.encoder.loading import Base, ByExamples, ByModel, Heads, load_heads
from router_extproc.encoder.screener import Screener
from router_extproc.encoder.session import Options, SentenceEncoder, open_encoder
from router_extproc.encoder.verifier import CrossEncoder, open_verifier
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import DOMAIN
from router_extproc.routing.tools import ToolBox
from router_extproc.screening.reading import Screened
from router_extproc.settings.compile import compile_snapshot
from router_extproc.settings.routing import compile_routing, domain_head
from router_extproc.settings.routing_schema import CustomClassifier
from router_extproc.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class Mind:
    """Loaded and tested. `revision` is that of the encoder's weights; `verifier` is None where the cache has
    none."""

    revision: str
    encoder: SentenceEncoder
    verifier: CrossEncoder | None
    heads: Heads
    screener: Screener

    @classmethod
    def load(cls, bundle: Bundle, configuration: Configuration) -> "Mind":
        """Blocks for a second or two, longer with classifiers. Raises OperatorError."""
        settings = configuration.settings
        # Half: the event loop and Envoy need the rest, and the second thread gains a tenth on short prompts.
        threads = settings.encoder.threads or max(1, available_threads() // 2)
        encoder = open_encoder(bundle, Options(threads=threads, max_tokens=settings.encoder.max_tokens))
        verifier = open_verifier(bundle, threads) if settings.semantic_cache.verifier.enabled else None
        guard = load_head(GUARD_WEIGHTS, bundle.base_revision, bundle.dimension)
        screener = Screener(encoder, guard, bundle.types, settings.screening.max_tokens)
        return cls(bundle.base_revision, encoder, verifier, Heads({}, {}), screener).prepared(configuration)

    def prepared(self, configuration: Configuration) -> "Mind":
        """The same encoder with the heads that `configuration` needs. Blocks; raises OperatorError."""
        settings = configuration.settings
        routing = compile_routing(settings, self.embed)
        # The domain is reported, and measured, even where nothing is decided by it.
        needs = routing.needs.heads | {domain_head(settings), DOMAIN}
        classifiers = [_classifier(each, configuration.path.parent) for each in settings.classifiers]
        base = Base(self.revision, self.encoder.dimension, self.embed)
        return replace(self, heads=load_heads(needs, classifiers, base))

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

    def plan(self, configuration: Configuration, tenant_key: bytes = b"") -> Snapshot:
        """Blocks while phrases are embedded. Raises ConfigError."""
        settings = configuration.settings
        content = configuration.tools
        return compile_snapshot(
            settings,
            encoder=self.encoder.encoder,
            heads=digest("heads", (*self.heads.as_bytes(), self.screener.as_bytes())),
            embed=self.embed,
            tenant_key=tenant_key,
            tools_db=content,
            tools=self._toolbox(settings, content),
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


def _classifier(given: CustomClassifier, folder: Path) -> ByExamples | ByModel:
    if given.path is None:
        return ByExamples(given.name, {each.name: each.examples for each in given.classes})
    options = ClassifierOptions(max_tokens=given.max_tokens)
    return ByModel(given.name, (folder / given.path).resolve(), options)
