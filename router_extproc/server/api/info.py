"""`/info/*` and `/v1/models`: what the router has, and what a client may name. No addresses, no secrets."""

import platform
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta

from router_extproc import __version__
from router_extproc.exchange.intake import OWNER
from router_extproc.ports import Clock
from router_extproc.screening.spans import PII_TYPES
from router_extproc.server.api.classify_shapes import Share
from router_extproc.server.api.reading import READING_CODES, Reader
from router_extproc.server.api.route import Route, Shape

TAG: Final = "info"
PROBE: Final = "What can you tell me about this?"
"""A text that every head is asked about, so that what is said to be loaded has just answered."""


class LoadedModel(Shape, frozen=True):
    """`labels` are what a head tells apart. A guard has none."""

    name: str
    type: Literal["encoder", "head", "guard"]
    loaded: bool
    labels: list[str]


class SystemInfo(Shape, frozen=True):
    version: str
    python_version: str
    os: str
    architecture: str


class ModelsInfo(Shape, frozen=True):
    models: list[LoadedModel]
    system: SystemInfo


class Thresholds(Shape, frozen=True):
    """The least probabilities that count, where neither a category nor a decision has its own."""

    category: Share
    jailbreak: Share
    pii: Share


class ClassifierInfo(Shape, frozen=True):
    """`categories` are the labels of the head that decides the domain; `enabled` says which guards look at
    requests."""

    status: Literal["active"]
    capabilities: list[str]
    categories: list[str]
    pii_types: list[str]
    thresholds: Thresholds
    enabled: dict[str, bool]
    encoder: str
    generation: str


class ListedModel(Shape, frozen=True):
    id: str
    object: Literal["model"]
    created: Annotated[int, Meta(description="Unix seconds of the answer.")]
    owned_by: str


class ModelList(Shape, frozen=True):
    """In OpenAI's form."""

    object: Literal["list"]
    data: list[ListedModel]


def info_routes(reader: Reader, clock: Clock) -> tuple[Route, ...]:
    calls = _Calls(reader, clock)
    return (
        Route(
            "GET", "/info/models", TAG, "The encoder, the heads and the guards",
            {200: ModelsInfo}, calls.models, codes=READING_CODES,
        ),
        Route(
            "GET", "/info/classifier", TAG, "What texts are classified as, and from which probability on",
            {200: ClassifierInfo}, calls.classifier, codes=READING_CODES,
        ),
        Route(
            "GET", "/v1/models", TAG, "The names that a client may send as `model`",
            {200: ModelList}, calls.listed,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Calls:
    reader: Reader
    clock: Clock

    async def models(self, _: None) -> ModelsInfo:
        async with self.reader.turn():
            analysis = await self.reader.read(PROBE)
        heads = [
            LoadedModel(name=name, type="head", loaded=True, labels=list(shares))
            for name, shares in sorted(analysis.heads.items())
        ]
        heads += [
            LoadedModel(name=name, type="head", loaded=False, labels=[]) for name in sorted(analysis.failed)
        ]
        found = analysis.screening
        guards = [
            LoadedModel(
                name=name, type="guard", loaded=found is not None and name not in found.failed, labels=[]
            )
            for name in ("guard", "pii")
        ]
        encoder = LoadedModel(name=analysis.encoder, type="encoder", loaded=True, labels=[])
        system = SystemInfo(
            version=__version__,
            python_version=platform.python_version(),
            os=platform.system(),
            architecture=platform.machine(),
        )
        return ModelsInfo(models=[encoder, *heads, *guards], system=system)

    async def classifier(self, _: None) -> ClassifierInfo:
        async with self.reader.turn():
            analysis = await self.reader.read(PROBE)
        plan = self.reader.plan
        guard, pii = plan.screening.guard, plan.screening.pii
        return ClassifierInfo(
            status="active",
            capabilities=["intent", "pii", "security", "combined", "batch", "embeddings", "similarity"],
            categories=list(analysis.heads.get(plan.routing.domain, {})),
            pii_types=sorted(PII_TYPES),
            thresholds=Thresholds(
                category=plan.routing.threshold,
                jailbreak=guard.default.threshold,
                pii=pii.default.threshold,
            ),
            enabled={"jailbreak": guard.enabled, "pii": pii.enabled},
            encoder=analysis.encoder,
            generation=plan.generation,
        )

    async def listed(self, _: None) -> ModelList:
        created = int(self.clock.now())
        return ModelList(
            object="list",
            data=[
                ListedModel(id=name, object="model", created=created, owned_by=OWNER)
                for name in self.reader.plan.listed
            ],
        )
