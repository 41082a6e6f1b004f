"""A folder on a disk that a test fills and empties: a small file system in memory where this user may mount
one, else a limit on what one process may write to files."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PIECE = b"\0" * 65_536


@dataclass(frozen=True, slots=True)
class SmallDisk:
    folder: Path
    mounted: bool

    def fill(self, pid: int | None = None) -> None:
        """Nothing more can be written, by `pid` at least."""
        if not self.mounted and pid is not None:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
            return
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            for piece in (_PIECE, b"\0"):
                _until_full(ballast.write, piece)

    def free(self, pid: int | None = None) -> None:
        """There is room again."""
        (self.folder / "ballast").unlink(missing_ok=True)
        if not self.mounted and pid is not None:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def _until_full(write: object, piece: bytes) -> None:
    assert callable(write)
    try:
        while write(piece) == len(piece):
            continue
    except OSError:
        return


@contextmanager
def small_disk(folder: Path, mebibytes: int = 48) -> Iterator[SmallDisk]:
    """`folder` is made."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield SmallDisk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
