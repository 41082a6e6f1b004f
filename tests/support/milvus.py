"""A real Milvus server as a child process: the standalone binary of the PyPI package `milvus`.

Owns unpacking, ports, configuration, readiness and the end of that process. Knows nothing of this
project's stores. What one meets with this binary:

- The package is data only (xz-compressed binary and libraries, 246 MB unpacked, 6 s); it owns the import
  name `milvus`, so it stands beside `pymilvus`. It is unpacked once into the checkout's `.cache`.
- Every component (coordinators, nodes, proxy) wants a port of its own, and the package's defaults collide
  when two servers run on one machine, so every one is chosen here. The embedded etcd ignores the port in
  the template and takes 2379 and 2380, unless ETCD_CONFIG_PATH names a file of etcd's own settings.
- The health endpoint listens on the port named by METRICS_PORT, on all interfaces, and says OK before the
  proxy can log anybody in, so readiness is a successful login.
- On SIGTERM the server may take minutes to leave (`gracefulStopTimeout`); its data here is disposable, so
  it is killed.
"""

import contextlib
import importlib.util
import lzma
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

VERSION = "2.3.5"
USER = "root"
PASSWORD = "Milvus"
"""Milvus's initial administrator."""

_CACHE = Path(__file__).resolve().parents[2] / ".cache"
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)(?:\(\w+\))?(?::\s*(.*?))?\s*\}\}")


class MilvusFailedError(AssertionError):
    """The server did not start; the message ends with the last lines it wrote."""


@dataclass
class MilvusServer:
    """One server that wants a login. `folder` keeps its data, so `start` after `kill` reopens them."""

    folder: Path
    ports: dict[str, int]
    binaries: Path
    process: subprocess.Popen[bytes] | None = field(default=None)
    certificate: Path | None = None
    """Given, the server speaks TLS only and shows this certificate, which it signed itself."""
    client_files: tuple[Path, Path] | None = None
    """Given, the server wants a certificate of its clients too: this one (with its key), which it trusts."""
    started_in: float = 0.0
    """Seconds from the start of the process to the first successful login."""

    host: str = "127.0.0.1"

    @classmethod
    def prepare(
        cls,
        folder: Path,
        certificate: tuple[Path, Path] | None = None,
        client_files: tuple[Path, Path] | None = None,
    ) -> "MilvusServer":
        """A server that will live in the empty folder `folder`; not started yet. `certificate` (with its
        key) makes it speak TLS, `client_files` (with it) make it want a certificate of its clients."""
        template = (_package() / "data" / "config.yaml.template").read_text(encoding="utf-8")
        names = [match[1] for match in _PLACEHOLDER.finditer(template) if match[1].endswith("_port")]
        names += ["metrics_port", "etcd_peer_port"]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        server = cls(folder=folder, ports=ports, binaries=unpacked())
        tls: dict[str, str] = {}
        if certificate is not None:
            server.certificate = certificate[0]
            tls = {
                "tls_mode": "1",
                "server_pem_path": str(certificate[0]),
                "server_key_path": str(certificate[1]),
            }
            if client_files is not None:
                server.client_files = client_files
                tls |= {"tls_mode": "2", "ca_pem_path": str(client_files[0])}
        server._configure(template, tls)
        return server

    @property
    def port(self) -> int:
        return self.ports["proxy_port"]

    @property
    def uri(self) -> str:
        return f"{'http' if self.certificate is None else 'https'}://{self.host}:{self.port}"

    def start(self, deadline: float = 120.0) -> None:
        """Start the process and wait up to `deadline` seconds until it lets its administrator in."""
        began = time.monotonic()
        environment = os.environ | {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self.ports["metrics_port"]),
            "MILVUS_RUN_DIR": str(self.folder / "run"),
            "MILVUSCONF": str(self.folder / "configs"),
            "ETCD_CONFIG_PATH": str(self.folder / "configs" / "etcd.yaml"),
            "LD_LIBRARY_PATH": str(self.binaries),
        }
        with (self.folder / "output.log").open("ab") as output:
            self.process = subprocess.Popen(
                [self.binaries / "milvus", "run", "standalone"],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while not self._lets_in():
            if self.process.poll() is not None:
                raise MilvusFailedError(f"Milvus left with {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() - began > deadline:
                self.kill()
                raise MilvusFailedError(f"Milvus was not ready after {deadline} s:\n{self.log_tail()}")
            with contextlib.suppress(subprocess.TimeoutExpired):  # the wait is the pause between two attempts
                self.process.wait(0.2)
        self.started_in = time.monotonic() - began

    def kill(self) -> None:
        """End the process at once, as a crash would; harmless when it does not run."""
        if self.process is not None:
            if self.process.poll() is None:
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def freeze(self) -> None:
        """Suspend the process: connections stay open and nothing is answered any more."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def log_tail(self, lines: int = 40) -> str:
        output = (self.folder / "output.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(output.splitlines()[-lines:])

    def client(self, database: str = "default") -> MilvusClient:
        """A client of its own for the tests' preparations; the caller closes it."""
        return MilvusClient(
            uri=self.uri,
            user=USER,
            password=PASSWORD,
            db_name=database,
            timeout=5.0,
            dedicated=True,
            **self._tls(),
        )

    def _tls(self) -> dict[str, Any]:
        if self.certificate is None:
            return {}
        if self.client_files is None:
            return {"secure": True, "server_pem_path": str(self.certificate)}
        mine, key = self.client_files
        files = {"ca_pem_path": self.certificate, "client_pem_path": mine, "client_key_path": key}
        return {"secure": True, **{name: str(path) for name, path in files.items()}}

    def _lets_in(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex((self.host, self.port)) != 0:
                return False
        try:
            client = self.client()
        except MilvusException:
            return False
        try:
            client.list_collections(timeout=2.0)
        except MilvusException:
            return False
        finally:
            client.close()
        return True

    def _configure(self, template: str, tls: dict[str, str]) -> None:
        data, logs = self.folder / "data", self.folder / "logs"
        for sub in (data, logs, self.folder / "configs", self.folder / "run"):
            sub.mkdir(parents=True, exist_ok=True)
        values = (
            tls
            | {name: str(port) for name, port in self.ports.items()}
            | {
                "authorization_enabled": "true",
                "etcd_log_level": "error",
                "etcd_log_path": str(logs / "etcd.log"),
                "etcd_data_dir": str(data / "etcd.data"),
                "local_storage_dir": str(data),
                "rocksmq_data_dir": str(data / "rocksmq"),
                "system_log_path": str(logs),
            }
        )
        text = _PLACEHOLDER.sub(lambda match: values.get(match[1], match[2] or ""), template)
        # How long a strongly consistent read waits for what was written before it: 0.2 s as shipped.
        text = text.replace("timeTickInterval: 200", "timeTickInterval: 20")
        # How long a restarted server waits for what it takes for its dead peers: 30 s as shipped. A server
        # that stalls for longer than this takes itself for dead and leaves.
        text = text.replace("    ttl: 30 ", "    ttl: 10 ")
        (self.folder / "configs" / "milvus.yaml").write_text(text, encoding="utf-8")
        client, peer = (f"http://127.0.0.1:{self.ports[name]}" for name in ("etcd_port", "etcd_peer_port"))
        etcd = {
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "data-dir": str(data / "etcd.data"),
            # The data outlive a killed process, not a crash of the machine: no test needs more.
            "unsafe-no-fsync": "true",
        }
        lines = "".join(f"{name}: {value}\n" for name, value in etcd.items())
        (self.folder / "configs" / "etcd.yaml").write_text(lines, encoding="utf-8")
        shutil.copy(_package() / "data" / "glog.conf", self.folder / "configs")


@contextlib.contextmanager
def disposable_folder() -> Iterator[Path]:
    """An empty folder, in memory where the machine offers that: Milvus and its etcd wait for the disk at
    every step, which on a busy machine makes a new collection take half a minute instead of three seconds."""
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="milvus-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now. All are held while choosing, so that they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def unpacked() -> Path:
    """The folder with the server's binary and libraries, unpacked on the first call on this machine."""
    target = _CACHE / f"milvus-{VERSION}"
    if not target.is_dir():
        staging = _CACHE / f"milvus-{VERSION}.{os.getpid()}"
        staging.mkdir(parents=True)
        for packed in sorted((_package() / "data" / "bin").glob("*.lzma")):
            with lzma.open(packed) as source, (staging / packed.stem).open("wb") as binary:
                shutil.copyfileobj(source, binary, 1 << 20)
            (staging / packed.stem).chmod(0o755)
        with contextlib.suppress(OSError):  # another test process was first: its copy is as good
            staging.rename(target)
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _package() -> Path:
    spec = importlib.util.find_spec("milvus")
    if spec is None or spec.origin is None:
        raise MilvusFailedError(f"the test server is missing: pip install --no-deps milvus=={VERSION}")
    return Path(spec.origin).parent
