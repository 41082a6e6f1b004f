"""deploy/Dockerfile: hadolint has nothing to say, and its steps run, without an engine.

Every stage gets a folder of its own as its root. COPY copies what .dockerignore lets in; RUN runs its line in
the stage's shell, with the stage's environment, the paths of the image replaced by those below the root. Two
things are not as in an image. The virtual environment sees the packages of this interpreter, so that pip
finds what constraints.txt asks for in place of fetching 900 MB; and the model cache holds the bundle that
this machine's `models build` made, so that the same command finds it in place of fetching 91 MB.
"""

import json
import os
import re
import shutil
import site
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from router_extproc import __version__
from router_extproc.encoder.bundle import default_folder
from tests.support.dockerfile import Instruction, Stage, context, read_stages

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
HADOLINT = Path(sys.executable).parent / "hadolint"
RUN_SECONDS = 300.0

IMAGE_PATHS = ("/build", "/opt", "/var/lib")
"""What the stages write. Everything else of a RUN line is the base image's: its shell, its Python."""


def linted(path: Path) -> tuple[int, str]:
    done = subprocess.run([HADOLINT, path], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def test_hadolint_has_nothing_to_say(tmp_path: Path) -> None:
    assert linted(DOCKERFILE) == (0, "")
    floating = tmp_path / "Dockerfile"
    floating.write_text(re.sub(r"python:\S+", "python:latest", DOCKERFILE.read_text()))
    assert "DL3007" in linted(floating)[1]


def ignored() -> list[str]:
    return (ROOT / ".dockerignore").read_text().splitlines()


def sources(stage: Stage) -> list[str]:
    """What the stage copies out of the repository."""
    copies = [each for each in stage.instructions if each.name == "COPY" and "from" not in each.flags]
    return [source for each in copies for source in each.words[:-1]]


def test_the_build_sees_what_is_copied_and_nothing_else() -> None:
    copied = {source for stage in read_stages(DOCKERFILE) for source in sources(stage)}
    seen = context(ROOT, ignored())
    assert copied == {path.parts[0] for path in seen}
    assert not [path for path in seen if path.suffix == ".pyc" or path.name.startswith(".")]


def package() -> set[Path]:
    """Every file of the package, but what Python compiled."""
    files = (path for path in (ROOT / "router_extproc").rglob("*") if path.is_file())
    return {path.relative_to(ROOT) for path in files if path.suffix != ".pyc"}


def test_every_file_of_the_package_reaches_the_build() -> None:
    assert package()
    assert package() <= set(context(ROOT, ignored()))


def test_the_last_stage_runs_as_nobody_in_particular_and_builds_nothing() -> None:
    runtime = read_stages(DOCKERFILE)[-1]
    user = runtime.last("USER")
    assert user is not None
    assert user.text == "10001:10001"
    assert {each.name for each in runtime.instructions}.isdisjoint({"RUN", "ADD"})
    assert all("from" in each.flags for each in runtime.instructions if each.name == "COPY")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", runtime.base)


def test_the_encoder_is_fetched_by_a_python_that_has_pip() -> None:
    """Where the hub cannot be reached, `models build` runs pip, which the virtual environment is without."""
    builder, models, runtime = read_stages(DOCKERFILE)
    assert any("-m venv --without-pip" in each.text for each in builder.instructions)
    runs = [each.text for each in models.instructions if each.name == "RUN"]
    assert [part.split()[:3] for run in runs for part in run.split("&&")] == [
        ["python", "-m", "router_extproc"]
    ] * 2
    version = re.match(r"python:(\d+\.\d+)", runtime.base)
    assert version is not None
    assert models.environment["PYTHONPATH"] == f"/opt/router-extproc/lib/python{version[1]}/site-packages"


@dataclass
class Built:
    """A stage as far as it got. `root` stands for `/`."""

    root: Path
    environment: dict[str, str]
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    folder: str = "/"

    def place(self, path: str) -> Path:
        """Where a path of the image is; a relative one belongs to WORKDIR."""
        return self.root / str(Path(self.folder) / path).removeprefix("/")

    def here(self, text: str) -> str:
        paths = "|".join(IMAGE_PATHS)
        return re.sub(rf"(?<![\w/.])({paths})\b", rf"{self.root}\1", text)


class Build:
    """Runs stages below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: dict[str, Built] = {}

    def run(self, stage: Stage) -> Built:
        parent = self._done.get(stage.base)
        # A later stage begins as its base ended, and may write there: nobody looks at that one again.
        root = parent.root if parent else self._folder / stage.name
        root.mkdir(exist_ok=True)
        built = Built(
            root, dict(parent.environment) if parent else {}, *(() if not parent else (parent.shell,))
        )
        for path in IMAGE_PATHS:
            (root / path.removeprefix("/")).mkdir(parents=True, exist_ok=True)
        for each in stage.instructions:
            self._step(built, each)
        self._done[stage.name] = built
        return built

    def _step(self, built: Built, step: Instruction) -> None:
        match step.name:
            case "ENV":
                built.environment |= dict(pair.split("=", 1) for pair in step.words)
            case "SHELL":
                built.shell = step.words
            case "WORKDIR":
                built.folder = step.text
                built.place(".").mkdir(parents=True, exist_ok=True)
            case "COPY" if "from" in step.flags:
                source, target = step.words
                shutil.copytree(
                    self._done[step.flags["from"]].place(source),
                    built.place(target),
                    symlinks=True,
                    dirs_exist_ok=True,
                )
            case "COPY":
                self._copy(built, step.words[:-1], step.words[-1])
            case "RUN":
                self._run(built, step.text)
            case _:
                assert step.name in ("USER", "EXPOSE", "ENTRYPOINT", "CMD")

    def _copy(self, built: Built, sources: tuple[str, ...], target: str) -> None:
        for source in sources:
            files = [path for path in context(ROOT, ignored()) if path.parts[0] == source]
            assert files, f"COPY {source}: there is no such thing, or .dockerignore hides it"
            for file in files:
                # A folder's content goes into the target, a file into the folder that ends with a slash.
                inside = file.relative_to(source) if (ROOT / source).is_dir() else Path(file.name)
                place = built.place(target) / inside
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, place)

    def _run(self, built: Built, line: str) -> None:
        done = subprocess.run(
            [*built.shell, built.here(line)],
            cwd=built.place("."),
            env={**_bare()} | {name: built.here(value) for name, value in built.environment.items()},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"RUN {line}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        if " -m venv " in line:
            self._see_packages(built)

    def _see_packages(self, built: Built) -> None:
        """The new virtual environment finds this interpreter's packages, after its own."""
        (own,) = built.root.glob("opt/*/lib/python*/site-packages")
        (own / "of_the_tests.pth").write_text("\n".join(site.getsitepackages()))


def _bare() -> Mapping[str, str]:
    """What a RUN line has of this machine: `python`, which is the base image's, and the way to the index."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if "PROXY" in name.upper() or name.startswith("PIP_")
    }
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        **passed,
    }


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """All stages, in order. The virtual environment is not at the place it was made for, so it is used by its
    interpreter."""
    build = Build(tmp_path_factory.mktemp("image"))
    builder, models, runtime = read_stages(DOCKERFILE)
    built = build.run(builder)
    bundle = default_folder(os.environ)
    cache = built.root / models.environment["ROUTER_EXTPROC_CACHE"].removeprefix("/")
    shutil.copytree(bundle, cache / bundle.name)
    build.run(models)
    return build.run(runtime)


def command(image: Built, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The image's program. PATH finds it there; here its interpreter is named."""
    python = image.place("/opt/router-extproc/bin/python")
    return subprocess.run(
        [python, "-m", "router_extproc", *arguments],
        cwd=image.place("."),
        env={name: image.here(value) for name, value in image.environment.items()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_steps_make_an_environment_with_this_version_in_it(image: Built) -> None:
    said = command(image, "--version")
    assert (said.returncode, said.stdout.split()) == (0, ["router-extproc", __version__])
    python = image.place("/opt/router-extproc/bin/python")
    found = subprocess.run(
        [python, "-c", "import router_extproc; print(router_extproc.__file__)"],
        cwd="/", env={}, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert str(image.root) in found


def test_the_entry_point_is_installed_where_path_finds_it(image: Built) -> None:
    runtime = read_stages(DOCKERFILE)[-1]
    entry = runtime.last("ENTRYPOINT")
    assert entry is not None
    (program,) = entry.words
    first = runtime.environment["PATH"].split(":")[0]
    script = image.place(f"{first}/{program}")
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!")
    assert not image.place(f"{first}/pip").exists()


def test_the_models_stage_leaves_a_bundle_that_the_user_can_read(image: Built) -> None:
    listed = json.loads(command(image, "models", "list", "--json").stdout)["bundles"]
    assert [(each["folder"], "error" in each) for each in listed] == [
        (str(image.place("/opt/models") / default_folder(os.environ).name), False)
    ]
    files = [*image.place("/opt/models").rglob("*"), *image.place("/opt/router-extproc").rglob("*")]
    assert len(files) > 500
    unreadable = [path for path in files if not path.is_symlink() and not path.stat().st_mode & 0o004]
    assert unreadable == []


def test_the_package_s_data_is_in_the_wheel(image: Built) -> None:
    (installed,) = image.place("/opt/router-extproc").glob("lib/python*/site-packages")
    assert [path for path in package() if not (installed / path).exists()] == []
