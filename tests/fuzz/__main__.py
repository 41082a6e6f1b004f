"""`python -m tests.fuzz [TARGET ...] [--seconds N] [--folder PATH]`: the targets under atheris, in turn.

Each runs in a process of its own: libFuzzer ends the process that it runs in. What it finds interesting is
kept in `PATH/TARGET` and used by the next run; an input that a target fails on is left there as `crash-...`.
"""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

TARGETS = ("api", "chat", "codec", "facts", "fold", "headers", "questions", "screening", "sse")
MAX_BYTES = 4096
SLOWEST_SECONDS = 10
MEMORY_MIB = 2048

WORDS = (
    *('"model"', '"messages"', '"role"', '"user"', '"system"', '"content"', '"type"', '"text"', '"stream"'),
    *('"tools"', '"kw"', '"name"', '"choices"', '"delta"', '"message"', '"index"', '"stop"', '"usage"'),
    '"finish_reason"',
    *('"error"', "null", "true", "1e999", "NaN", "\\\\ud800", "{}", "[]", "data:", "[DONE]"),
    *("\\x0a\\x0a", "\\xff"),
    *("base64", "rot13", "https://", "@", ".com", "zip code", "not", "max-age=", "no-store", "content-type"),
)
"""What the fuzzer may put together, in the form of libFuzzer's dictionaries but for the outer quotes."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], default=[])
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="where inputs are kept (.fuzz)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.targets or TARGETS
    if given.inside:
        run(names[0], given.seconds, given.folder / names[0])
    failed = [name for name in names if _started(name, given.seconds, given.folder) != 0]
    found = f"{', '.join(failed)} failed" if failed else f"nothing found by {len(names)} targets"
    print(f"fuzz: {found}")  # noqa: T201
    return int(bool(failed))


def _started(name: str, seconds: int, folder: Path) -> int:
    print(f"fuzz: {name}, {seconds} s", flush=True)  # noqa: T201
    arguments = [name, "--seconds", str(seconds), "--folder", str(folder), "--inside"]
    return subprocess.run([sys.executable, "-m", "tests.fuzz", *arguments], check=False).returncode


def run(name: str, seconds: int, folder: Path) -> None:
    """Does not return."""
    import atheris

    folder.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(include=["router_extproc"]):
        module = importlib.import_module(f"tests.fuzz.{name}")
    for number, seed in enumerate(module.SEEDS):
        (folder / f"seed-{number}").write_bytes(seed)
    words = folder.with_suffix(".words")
    words.write_text("".join('"{}"\n'.format(word.replace('"', '\\"')) for word in WORDS))
    limits = [f"-max_total_time={seconds}", f"-timeout={SLOWEST_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}"]
    options = [
        *limits,
        f"-max_len={MAX_BYTES}",
        f"-artifact_prefix={folder}/",
        f"-dict={words}",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], module.target)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
