"""Does anybody know of a weakness in what we pin? `python -m deploy.supply.advisories`, or `make audit`.

pip-audit asks a database of advisories about every version in `constraints.txt`. A database that cannot be
reached, or one that knows nothing of a version that everybody knows to be weak, as a mirror of a package
index may be, is no database: then nothing was audited, and that is what is said and what the exit code says.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

CONSTRAINTS: Final = Path(__file__).parents[2] / "constraints.txt"
SERVICES: Final = ("osv", "pypi")
SECONDS: Final = 300.0

CANARY: Final = "jinja2==2.10"
"""CVE-2019-10906, an escape from its sandbox."""

CLEAN: Final = 0
WEAK: Final = 1
NOT_AUDITED: Final = 3
"""Not 2, which is make's own."""

Ask = Callable[[str, str], Mapping[str, Any] | None]
"""What the service says about the requirements, as pip-audit's JSON; None where it cannot be asked."""


def ask(service: str, requirements: str) -> Mapping[str, Any] | None:
    """Implements `Ask`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(requirements, encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "--requirement",
            str(file),
            "--no-deps",
            "--disable-pip",
        ]
        command += ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"]
        try:
            # Its exit code is 1 for a weakness found and for one of its own.
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
            said = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError):
            return None
    return said if isinstance(said, dict) else None


def weaknesses(said: Mapping[str, Any]) -> Iterator[str]:
    for each in said.get("dependencies", ()):
        for found in each.get("vulns", ()):
            cure = ", ".join(found.get("fix_versions") or ()) or "no version yet"
            names = ", ".join([found["id"], *(found.get("aliases") or ())])
            yield f"{each['name']} {each['version']}: {names}; mended in {cure}"


def skipped(said: Mapping[str, Any]) -> Sequence[str]:
    """What the service does not know."""
    return [each["name"] for each in said.get("dependencies", ()) if "skip_reason" in each]


def audit(requirements: str, ask: Ask, tell: Callable[[str], object]) -> int:
    """CLEAN, WEAK or NOT_AUDITED; the first service that can be believed decides."""
    for service in SERVICES:
        known = ask(service, CANARY)
        if known is None or not list(weaknesses(known)):
            tell(f"audit: {service}: cannot be reached, or knows nothing of {CANARY}\n")
            continue
        said = ask(service, requirements)
        if said is None:
            tell(f"audit: {service}: gave no answer\n")
            continue
        found, unknown = list(weaknesses(said)), skipped(said)
        for line in found:
            tell(f"audit: {line}\n")
        if unknown:
            tell(f"audit: {service} does not know {len(unknown)} packages: {', '.join(unknown)}\n")
        tell(f"audit: {service}: {len(said.get('dependencies', ()))} packages, {len(found)} weaknesses\n")
        return WEAK if found else CLEAN
    tell("audit: NOT AUDITED: no database of advisories can be reached from here; run it where one can\n")
    return NOT_AUDITED


def main() -> int:
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pinned = "\n".join(line for line in lines if line and not line.startswith("#"))
    return audit(pinned, ask, sys.stderr.write)


if __name__ == "__main__":
    sys.exit(main())
