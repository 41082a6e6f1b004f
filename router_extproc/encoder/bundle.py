"""A bundle: the folder with everything the encoder and the verifier need at run time, and its identity.

Owns the folder's layout, its manifest and its checksums, building and placing it. Knows nothing of
inference. Building needs the base weights and two seconds of CPU, no network and no PyTorch.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
import onnx
import onnxruntime
import safetensors.numpy

from router_extproc.base.digest import digest
from router_extproc.base.errors import ModelError
from router_extproc.encoder import fetch
from router_extproc.encoder.adapter import VERIFIER_WEIGHTS, Adapter, adapter_id, load_adapter
from router_extproc.encoder.fetch import Say
from router_extproc.encoder.graph import Precision, Shape, build, build_verifier
from router_extproc.encoder.trunk import TRUNK_WEIGHTS, Trunk, load_trunk

FORMAT = 3
MANIFEST = "manifest.json"
MODEL = "model.onnx"
VERIFIER = "verifier.onnx"
COPIED = (fetch.CONFIG, fetch.TOKENIZER, fetch.TOKENIZER_CONFIG, fetch.SPECIAL_TOKENS)
FILES = (MODEL, VERIFIER, *COPIED)
ENCODING = "clean-1"
"""Version of what `session` does around the graph (cutting, special tokens): part of the identity."""

REBUILD = "build it again with `router-extproc models build`"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`manifest.json`. `files` maps each file's name to its SHA-256; `verifier` and `trunk` are those of
    the weights which the verifier and the trunk were built from, `types` what the tagger knows; `builders`
    names the versions of the libraries that made it, for support: the bytes do not depend on them."""

    format: int
    encoder: str
    base_model: str
    base_revision: str
    precision: str
    dimension: int
    max_positions: int
    files: Mapping[str, str]
    builders: Mapping[str, str]
    verifier: str = ""
    trunk: str = ""
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle. Equal `encoder` (`[a-z0-9-]`, at most 26 characters) means equal vectors, and equal
    `verifier` that it was built from the same weights. `types` are those of personal data that the tagger
    knows, in the order of its rows."""

    folder: Path
    encoder: str
    verifier: str
    base_revision: str
    dimension: int
    max_positions: int
    types: tuple[str, ...] = ()

    @property
    def model(self) -> Path:
        return self.folder / MODEL

    @property
    def verifier_model(self) -> Path:
        return self.folder / VERIFIER


class _Config(msgspec.Struct, frozen=True):
    """What is read of the base model's `config.json`."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    layer_norm_eps: float
    max_position_embeddings: int


def encoder_id(files: Mapping[str, str]) -> str:
    """Identity of the vectors, from the checksums of the files that shape them.

    The graph's bytes are reproducible (numpy and a fixed order of nodes), so equal inputs give equal ids
    on every machine, and any change of weights, precision, tokeniser or encoding gives another.
    """
    parts = [ENCODING, *(files[name] for name in (MODEL, fetch.TOKENIZER))]
    return "minilm-l6-v2-" + digest("encoder", (part.encode() for part in parts))[:12]


def default_folder(environment: Mapping[str, str]) -> Path:
    """`$ROUTER_EXTPROC_CACHE`, else `router-extproc/models` in the user's cache, and there the bundle."""
    if own := environment.get("ROUTER_EXTPROC_CACHE"):
        cache = Path(own)
    elif xdg := environment.get("XDG_CACHE_HOME"):
        cache = Path(xdg) / "router-extproc" / "models"
    else:
        cache = Path(environment.get("HOME") or Path.home()) / ".cache" / "router-extproc" / "models"
    return cache / "minilm-l6-v2-int8"


def build_bundle(source: Path, target: Path, say: Say, precision: Precision = Precision.INT8) -> Bundle:
    """Build from the base files in `source` and place the result at `target`, replacing what is there.

    Two builds may race: each works in a folder of its own beside `target` and one rename places it.
    Raises ModelError.
    """
    base = {file.name: fetch.read_verified(source, file) for file in fetch.BASE_FILES}
    adapter = load_adapter(VERIFIER_WEIGHTS, fetch.BASE_REVISION)
    trunk = load_trunk(TRUNK_WEIGHTS, fetch.BASE_REVISION)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise ModelError(f"{target.parent}: cannot write the bundle here ({error.strerror})") from None
    try:
        say(f"building the {precision} graphs")
        _write(work, base, trunk, adapter, precision)
        # Checked before it is placed: at the target another build may be taking its place by then.
        bundle = replace(load_bundle(work), folder=target)
        say(f"placing the bundle in {target}")
        _place(work, target)
    except OSError as error:
        raise ModelError(f"{target}: cannot place the bundle ({error.strerror or error})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"the encoder's identity is {bundle.encoder}")
    return bundle


def _write(
    folder: Path, base: Mapping[str, bytes], trunk: Trunk, adapter: Adapter, precision: Precision
) -> None:
    config = msgspec.json.decode(base[fetch.CONFIG], type=_Config)
    shape = shape_of(base[fetch.CONFIG])
    weights = safetensors.numpy.load(base[fetch.WEIGHTS])
    graph = build(trunk.weights(weights), shape, precision)
    (folder / MODEL).write_bytes(graph.SerializeToString(deterministic=True))
    graph = build_verifier(adapter.weights(weights), shape, precision)
    (folder / VERIFIER).write_bytes(graph.SerializeToString(deterministic=True))
    for name in COPIED:
        (folder / name).write_bytes(base[name])
    write_manifest(folder, precision, config.hidden_size, config.max_position_embeddings, trunk.types)


def shape_of(config: bytes) -> Shape:
    """The sizes that the base model's `config.json` tells."""
    found = msgspec.json.decode(config, type=_Config)
    return Shape(found.hidden_size, found.num_hidden_layers, found.num_attention_heads, found.layer_norm_eps)


def write_manifest(
    folder: Path, precision: Precision, dimension: int, max_positions: int, types: tuple[str, ...] = ()
) -> None:
    """Seal `folder`, which holds all of `FILES`: record their checksums and the identity they give."""
    files = {name: _sha256(folder / name) for name in FILES}
    manifest = Manifest(
        format=FORMAT,
        encoder=encoder_id(files),
        base_model=fetch.BASE_MODEL,
        base_revision=fetch.BASE_REVISION,
        precision=precision,
        dimension=dimension,
        max_positions=max_positions,
        files=files,
        builders={"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        verifier=adapter_id(VERIFIER_WEIGHTS),
        trunk=adapter_id(TRUNK_WEIGHTS),
        types=types,
    )
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def _place(work: Path, target: Path) -> None:
    """Rename `work` to `target`, unless the same bundle is there already (another build was first).

    An occupied `target` is renamed away before: a folder with content cannot be replaced in one step.
    Who has opened the old files keeps them. Raises OSError if every attempt met another build.
    """
    work.chmod(0o755)
    for _ in range(5):
        if _holds_the_same(work, target):
            return
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-old-", dir=target.parent) as aside:
            with suppress(FileNotFoundError):  # nothing there yet, or another build renamed it just now
                target.rename(Path(aside) / "bundle")
            with suppress(OSError):  # another build placed its own in between: look at that one
                work.rename(target)
                return
    raise OSError(None, "other builds keep placing theirs; wait for them to end")


def _holds_the_same(work: Path, target: Path) -> bool:
    try:
        there, made = load_bundle(target), load_bundle(work)
    except ModelError:
        return False
    return there == replace(made, folder=target)


def load_bundle(folder: Path) -> Bundle:
    """The bundle in `folder` after checking every byte of it. Raises ModelError."""
    manifest = _read_manifest(folder / MANIFEST)
    if manifest.format != FORMAT or set(manifest.files) != set(FILES):
        raise ModelError(f"{folder}: the bundle was made by another version; {REBUILD}")
    for name in FILES:
        if _sha256(folder / name) != manifest.files[name]:
            raise ModelError(f"{folder / name}: the checksum is not the manifest's; {REBUILD}")
    if manifest.verifier != adapter_id(VERIFIER_WEIGHTS):
        raise ModelError(f"{folder}: the bundle was made with another verifier; {REBUILD}")
    if manifest.trunk != adapter_id(TRUNK_WEIGHTS):
        raise ModelError(f"{folder}: the bundle was made with another trunk; {REBUILD}")
    if manifest.encoder != encoder_id(manifest.files):
        raise ModelError(f"{folder / MANIFEST}: the identity does not follow from the files; {REBUILD}")
    return Bundle(
        folder=folder,
        encoder=manifest.encoder,
        verifier=manifest.verifier,
        base_revision=manifest.base_revision,
        dimension=manifest.dimension,
        max_positions=manifest.max_positions,
        types=manifest.types,
    )


def _read_manifest(path: Path) -> Manifest:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        cure = "build it with `router-extproc models build`"
        raise ModelError(f"{path.parent}: there is no encoder bundle; {cure}") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except msgspec.DecodeError:
        raise ModelError(f"{path}: not a bundle's manifest; {REBUILD}") from None


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {REBUILD}") from None
