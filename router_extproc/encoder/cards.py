"""What is known of the shipped weights: which heads there are, what they were fitted on, what they reach.

Reads the metadata of the files in `weights/`, never their tensors, and owns the form of the part of it that
is for people, the card. What a head computes is its own module's business.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import safetensors.numpy

from router_extproc.base.errors import ModelError

WEIGHTS = Path(__file__).parent / "weights"
CARD = "card"
"""The metadata's key. Its value is one JSON string: the library writes several keys in any order."""

AGAIN = "install the package again"


class TrainingSet(msgspec.Struct, frozen=True, kw_only=True):
    """A set that weights were fitted on. `source`: where it comes from; `rows` is None where only its name
    is known."""

    name: str
    rows: int | None = None
    source: str = ""
    licence: str = ""


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a training script knows and a file of weights alone does not say.

    `reads` is what the head looks at; `calibration` how its probabilities were fitted; `threshold` the least
    probability that counts where the configuration says nothing. `figures` are by measured set and by figure;
    `limits` are sentences; `report` is a file with more.
    """

    reads: str = ""
    calibration: str = ""
    threshold: float | None = None
    labels: tuple[str, ...] = ()
    fitted_on: tuple[TrainingSet, ...] = ()
    figures: Mapping[str, Mapping[str, float]] = msgspec.field(default_factory=dict)
    licence: str = ""
    limits: tuple[str, ...] = ()
    report: str = ""

    def as_metadata(self) -> str:
        """The value of `CARD`; equal cards give equal strings."""
        return msgspec.json.encode(self, order="sorted").decode()


@dataclass(frozen=True, slots=True)
class Head:
    """A file of weights. `base_revision` is that of the weights it was fitted over, empty where the file does
    not say; `size` is in bytes."""

    name: str
    file: str
    sha256: str
    size: int
    base_revision: str
    card: Card = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready: what a bundle's manifest lists."""
        return {**asdict(self), "card": msgspec.to_builtins(self.card)}


def read_heads(folder: Path = WEIGHTS) -> tuple[Head, ...]:
    """The heads in `folder`, by name. Raises ModelError naming the file that is wrong."""
    return tuple(read_head(path) for path in sorted(folder.glob("*.safetensors")))


def read_head(path: Path) -> Head:
    """Of one file. What an older form of file says outside its card is put into it. Raises ModelError."""
    try:
        content = path.read_bytes()
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
        facts = _facts(metadata)
        card = msgspec.json.decode(metadata.get(CARD, "{}"), type=Card)
        return Head(
            name=path.stem,
            file=path.name,
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
            base_revision=facts.get("base_revision", ""),
            card=_completed(card, facts),
        )
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {AGAIN}") from None
    except (safetensors.SafetensorError, ValueError, TypeError, msgspec.DecodeError) as error:
        raise ModelError(f"{path}: not a head's weights ({error}); {AGAIN}") from None


def write_card(path: Path, card: Card) -> None:
    """Put `card` into the weights at `path`; the tensors and everything else in the metadata stay as they
    are. Equal cards give equal bytes. Raises ModelError."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = {**(file.metadata() or {}), CARD: card.as_metadata()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        path.write_bytes(_in_order(safetensors.numpy.save(tensors, metadata=metadata)))
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror})") from None
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path}: not a head's weights ({error}); {AGAIN}") from None


def _in_order(content: bytes) -> bytes:
    """The same file with its metadata by name. The form: an 8-byte length, a header in JSON that spaces fill
    up to a multiple of 8, and the tensors (safetensors' README)."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    ordered += b" " * (-len(ordered) % 8)
    return len(ordered).to_bytes(8, "little") + ordered + content[8 + size :]


def _facts(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What the files say for the loaders: plain strings, a list in JSON, or all of it in JSON under a key."""
    facts: dict[str, Any] = {}
    for name, value in metadata.items():
        if name != CARD:
            facts |= json.loads(value) if value.startswith("{") else {name: value}
    if isinstance(labels := facts.get("labels"), str):
        facts["labels"] = json.loads(labels)
    return facts


def _completed(card: Card, facts: Mapping[str, Any]) -> Card:
    """`card`, with what the facts say where it says nothing itself."""
    found: dict[str, Any] = {}
    labels = facts.get("labels", facts.get("types"))
    if not card.labels and isinstance(labels, list):
        found["labels"] = tuple(str(label) for label in labels)
    if card.threshold is None and isinstance(facts.get("threshold"), float):
        found["threshold"] = facts["threshold"]
    if not card.calibration and "temperature" in facts:
        found["calibration"] = f"temperature {float(facts['temperature']):g}"
    if not card.reads and "reads" in facts:
        found["reads"] = str(facts["reads"])
    if not card.fitted_on and "fitted_on" in facts:
        found["fitted_on"] = tuple(TrainingSet(name=name) for name in str(facts["fitted_on"]).split(", "))
    return msgspec.structs.replace(card, **found)
