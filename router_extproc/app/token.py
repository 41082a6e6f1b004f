"""Tokens in files that only their owner may read: the one that guards the calls which change something, or
show the cache or the configuration; and the one that lets a client have a request's trace logged."""

import ipaddress
import logging
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from router_extproc.base.errors import OperatorError
from router_extproc.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a token is for: its name, the configuration's key of its file, and what goes on without it."""

    name: str
    key: str
    without: str


ADMIN = Purpose(
    "admin token",
    "admin.token_file",
    "the calls that need the token are refused and the API listens on loopback",
)
DEBUG = Purpose(
    "debug token", "observability.debug_token_file", "no client can have its request's trace logged"
)

LOOPBACK = MappingProxyType({4: "127.0.0.1", 6: "::1"})

log = logging.getLogger(__name__)

TOKEN_BYTES = 32
MAX_BYTES = 4096
OTHERS = 0o077
"""The permission bits of everybody but the owner."""


def admin_token(config: Path, settings: Settings) -> str | None:
    """The token in `admin.token_file`, written there if there is none yet; processes that start at the same
    time agree on one. None when the configuration names no file, or it can neither be read nor written here:
    the router serves without those calls then, and the log says so. Raises OperatorError for a file that is
    there and cannot be trusted."""
    return _token_in(token_path(config, settings), ADMIN)


def debug_token(config: Path, settings: Settings) -> str | None:
    """The token in `observability.debug_token_file`; otherwise as `admin_token`."""
    return _token_in(debug_token_path(config, settings), DEBUG)


def debug_token_path(config: Path, settings: Settings) -> Path | None:
    """Where `observability.debug_token_file` is; None when the configuration names none."""
    named = settings.observability.debug_token_file
    return None if named is None else config.parent / named


def _token_in(path: Path | None, purpose: Purpose) -> str | None:
    if path is None:
        return None
    try:
        return read_token(path, purpose) or _create(path, purpose)
    except OSError as error:
        log.warning(
            "%s: cannot be written (%s), so %s; set %s to a file in a folder that the router may write, or "
            "put a token there",
            path,
            error.strerror or error,
            purpose.without,
            purpose.key,
        )
        return None


def token_path(config: Path, settings: Settings) -> Path | None:
    """Where the token is, by the configuration in the file `config`."""
    named = settings.admin.token_file
    return None if named is None else config.parent / named


def api_host(address: str, *, guarded: bool) -> str:
    """Where the HTTP API listens: on `address`, or where no token guards it on loopback only, so that nobody
    on the network reads what it tells."""
    if guarded or is_loopback(address):
        return address
    try:
        return LOOPBACK[ipaddress.ip_address(address).version]
    except ValueError:
        return LOOPBACK[4]


def is_loopback(address: str) -> bool:
    """Whether only this machine can connect there."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def read_token(path: Path, purpose: Purpose = ADMIN) -> str | None:
    """The token in `path`; None when there is no such file. Raises OperatorError."""
    try:
        # A pipe that nobody writes to would block here for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OperatorError(
            f"{path}: the {purpose.name} cannot be read ({error.strerror}); "
            f"run as the user who owns the file, or set {purpose.key} to another"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        _check_mode(path, os.fstat(descriptor), purpose)
        try:
            return _token(path, file.read(MAX_BYTES + 1), purpose)
        except OSError as error:
            raise OperatorError(f"{path}: the {purpose.name} cannot be read ({error.strerror})") from error


def is_word(token: bytes) -> bool:
    """Whether `token` is printable ASCII without a space: it stands in a header field as it is."""
    return all(0x21 <= byte <= 0x7E for byte in token)


def is_private(mode: int, owner: int, user: int) -> bool:
    """Whether nobody but the process of `user` can read the file, as far as `mode` tells; or whether somebody
    else, who handed it out, gave it to a group to read, and this process reads it as one of the group: a
    Secret that Kubernetes mounts for a Pod with an `fsGroup` is root's, mode 0440."""
    return not mode & OTHERS or (owner != user and not mode & OTHERS & ~stat.S_IRGRP)


def _check_mode(path: Path, status: os.stat_result, purpose: Purpose) -> None:
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        raise OperatorError(f"{path}: is not a file; set {purpose.key} to a file that holds the token")
    if not is_private(mode, status.st_uid, os.geteuid()):
        raise OperatorError(
            f"{path}: others than its owner may read or change the {purpose.name} (mode {mode & 0o777:o}); "
            f"run `chmod 600 {path}`, and replace the token if they may have read it"
        )


def _token(path: Path, content: bytes, purpose: Purpose) -> str:
    cure = "delete the file, and the router writes a new one when it starts"
    if len(content) > MAX_BYTES:
        raise OperatorError(f"{path}: {purpose.name}: has at most {MAX_BYTES} bytes; {cure}")
    token = content.strip()
    if not token:
        raise OperatorError(f"{path}: is empty; {cure}")
    if not is_word(token):
        raise OperatorError(f"{path}: {purpose.name}: is one word of ASCII characters; {cure}")
    return token.decode("ascii")


def _create(path: Path, purpose: Purpose) -> str:
    """Write a fresh token to `path`, or read the one that another process wrote in the meantime. OSError
    when nothing can be written there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(token.encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        # Unlike an open with O_EXCL, a link shows nobody a file that is still empty. One of two links wins.
        with suppress(FileExistsError):  # the other process was first: its token counts
            os.link(draft, path)
    finally:
        draft.unlink()
    written = read_token(path, purpose)
    if written is None:
        raise FileNotFoundError(2, "it was deleted again at once", str(path))
    return written
