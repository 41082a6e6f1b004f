import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from router_extproc.app.configuration import Configuration, load
from router_extproc.app.reload import Generation, Generations, Outcome, Proxy, watch
from router_extproc.base.errors import ConfigError
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.settings.compile import compile_snapshot

SHIPPED = Path(__file__).parents[3] / "config"
PLAN, OTHER_PLAN = (cast("Snapshot", type("Plan", (), {"generation": name})()) for name in ("one", "two"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED, tmp_path / "config")
    return tmp_path / "config" / "router.yaml"


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def observe(file: Path, more: str) -> None:
    """Put `more`, YAML of one line, into the section that is there."""
    document = yaml.safe_load(file.read_text())
    section = document["observability"]
    for key, value in yaml.safe_load(f"{{{more}}}").items():
        section[key] = section.get(key, {}) | value if isinstance(value, dict) else value
    file.write_text(yaml.safe_dump(document))


def no_phrases(texts: Sequence[str]) -> NDArray[np.float32]:
    return np.zeros((len(texts), 4), np.float32)


async def compiled(configuration: Configuration) -> Snapshot:
    return OTHER_PLAN


def generations(
    file: Path,
    compile: Callable[[Configuration], Awaitable[Snapshot]] = compiled,
    proxy: Proxy | None = None,
    outdated: Callable[[], bool] = lambda: False,
) -> tuple[Generations, list[tuple[Outcome, int]]]:
    told: list[tuple[Outcome, int]] = []

    def tell(outcome: Outcome, now: Generation) -> None:
        told.append((outcome, now.number))

    return Generations(Generation(1, load(file), PLAN), compile, tell, proxy, outdated), told


async def test_a_changed_configuration_is_taken_over(file: Path) -> None:
    held, told = generations(file)
    before = held.current
    change(file, "default_model: qwen3-8b", "default_model: qwen3-32b")
    assert await held.reload() is Outcome.TAKEN
    assert (held.current.number, held.current.plan) == (2, OTHER_PLAN)
    assert held.current.configuration.settings.default_model == "qwen3-32b"
    assert before.plan is PLAN
    assert told == [(Outcome.TAKEN, 2)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  enabled: false                  # jailbreak", "  enabled: true  # jailbreak"),
        ("preferred_endpoints: [small]", "preferred_endpoints: [small]\n    pii_policy: {}"),
    ],
)
async def test_a_changed_guard_is_taken_over(file: Path, old: str, new: str) -> None:
    async def really(configuration: Configuration) -> Snapshot:
        return compile_snapshot(configuration.settings, encoder="e", heads="h", embed=no_phrases)

    held, _ = generations(file, really)
    before = await really(held.current.configuration)
    change(file, old, new)
    assert await held.reload() is Outcome.TAKEN
    assert held.current.plan.screening != before.screening
    assert held.current.plan.generation != before.generation


@pytest.mark.parametrize(
    "more",
    [
        "log_level: debug",
        "decision_log: false",
        "debug_token_file: debug.token",
        "tracing: {sampling: {type: probabilistic, rate: 0.1}}",
    ],
)
async def test_what_operators_are_told_changes_without_a_restart(file: Path, more: str) -> None:
    held, _ = generations(file)
    observe(file, more)
    assert await held.reload() is Outcome.TAKEN


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("log_format: text", "observability.log_format"),
        ("tracing: {enabled: true}", "observability.tracing.enabled"),
        ('tracing: {exporter: {endpoint: "other:4317"}}', "observability.tracing.exporter"),
        ("tracing: {resource: {service_name: other}}", "observability.tracing.resource"),
    ],
)
async def test_where_traces_go_is_read_at_start_only(file: Path, more: str, named: str) -> None:
    held, _ = generations(file)
    observe(file, more)
    assert await held.reload() is Outcome.REFUSED
    assert held.problem is not None
    assert f"{named}: read at start only" in held.problem


async def test_a_secret_that_changed_makes_a_new_generation_of_the_same_configuration(file: Path) -> None:
    held, told = generations(file, outdated=lambda: True)
    assert await held.reload() is Outcome.TAKEN
    assert (held.current.plan, told) == (OTHER_PLAN, [(Outcome.TAKEN, 2)])


async def test_the_same_configuration_again_is_no_new_generation(file: Path) -> None:
    held, told = generations(file)
    file.write_text(file.read_text() + "\n# a remark\n")
    assert await held.reload() is Outcome.UNCHANGED
    assert held.current.number == 1
    assert told == [(Outcome.UNCHANGED, 1)]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("default_model: qwen3-8b", "default_model: nothing", "default_model"),
        ("default_model: qwen3-8b", "default_modle: qwen3-8b", "default_modle"),
        ("port: 50051", "port: 50052", "listeners: read at start only"),
        ("max_entries: 1000", "max_entries: 10", "semantic_cache.max_entries: read at start only"),
        ("scope: credential", "scope: shared", "semantic_cache.scope: read at start only"),
        ("max_tokens: 4096 ", "max_tokens: 512 ", "screening.max_tokens: read at start only"),
        (
            "backend_config_path: cache/milvus.yaml",
            "milvus: {connection: {path: elsewhere.db}}",
            "semantic_cache.backend_config_path, semantic_cache.milvus: read at start only",
        ),
    ],
)
async def test_a_configuration_that_cannot_be_served_with_changes_nothing(
    file: Path, old: str, new: str, named: str
) -> None:
    held, told = generations(file)
    change(file, old, new)
    assert await held.reload() is Outcome.REFUSED
    assert (held.current.number, held.current.plan) == (1, PLAN)
    assert held.problem is not None
    assert named in held.problem
    assert told == [(Outcome.REFUSED, 1)]
    change(file, new, old)
    assert await held.reload() is Outcome.UNCHANGED
    assert held.problem is None


async def test_a_plan_that_cannot_be_compiled_changes_nothing(file: Path) -> None:
    async def fails(configuration: Configuration) -> Snapshot:
        raise ConfigError("no such classifier")

    held, _ = generations(file, fails)
    change(file, "default_model: qwen3-8b", "default_model: qwen3-32b")
    assert await held.reload() is Outcome.REFUSED
    assert (held.current.plan, held.problem) == (PLAN, "no such classifier")


class Recorded:
    """A proxy that remembers what it was told while which plan was in force."""

    def __init__(self, problem: ConfigError | None = None) -> None:
        self.problem = problem
        self.told: list[tuple[str, str]] = []
        self.plan: Callable[[], str] = lambda: ""

    async def introduce(self, configuration: Configuration) -> None:
        if self.problem is not None:
            raise self.problem
        self.told.append(("introduce", self.plan()))

    def retire(self, configuration: Configuration) -> None:
        self.told.append(("retire", self.plan()))


async def test_the_proxy_knows_what_is_new_before_and_forgets_what_is_old_after(file: Path) -> None:
    proxy = Recorded()
    held, _ = generations(file, proxy=proxy)
    proxy.plan = lambda: held.current.plan.generation
    change(file, "default_model: qwen3-8b", "default_model: qwen3-32b")
    assert await held.reload() is Outcome.TAKEN
    assert proxy.told == [("introduce", "one"), ("retire", "two")]


async def test_what_the_proxy_refuses_is_not_served_with(file: Path) -> None:
    proxy = Recorded(ConfigError("no such address"))
    held, _ = generations(file, proxy=proxy)
    change(file, "default_model: qwen3-8b", "default_model: qwen3-32b")
    assert await held.reload() is Outcome.REFUSED
    assert (held.current.plan, held.problem, proxy.told) == (PLAN, "no such address", [])


async def test_two_reloads_at_once_are_made_one_after_the_other(file: Path) -> None:
    held, told = generations(file)
    change(file, "default_model: qwen3-8b", "default_model: qwen3-32b")
    outcomes = await asyncio.gather(held.reload(), held.reload())
    assert list(outcomes) == [Outcome.TAKEN, Outcome.UNCHANGED]
    assert told == [(Outcome.TAKEN, 2), (Outcome.UNCHANGED, 2)]


async def test_a_watch_sees_a_mounted_config_map_that_is_exchanged(tmp_path: Path) -> None:
    """As a kubelet does it: the files are links through `..data`, which is renamed over, so that neither the
    link that is watched nor the file it led to changes."""

    def version(name: str, text: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "router.yaml").write_text(text)
        (tmp_path / "..data_tmp").symlink_to(name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    version("..2026_01", "one")
    (tmp_path / "router.yaml").symlink_to("..data/router.yaml")
    seen, looked = asyncio.Event(), asyncio.Event()

    def files() -> tuple[Path]:
        if started:
            looked.set()
        started.append(None)
        return (tmp_path / "router.yaml",)

    async def changed() -> None:
        seen.set()

    started: list[None] = []
    task = asyncio.create_task(watch(files, changed, interval=0.005))
    try:
        async with asyncio.timeout(20):
            await looked.wait()
            version("..2026_02", "two")
            await seen.wait()
    finally:
        task.cancel()


async def test_a_watch_sees_content_links_and_files_that_come_and_go(tmp_path: Path) -> None:
    one, two, link, absent = (tmp_path / name for name in ("one", "two", "link", "absent"))
    one.write_text("1")
    two.write_text("3")
    link.symlink_to(one)
    seen: asyncio.Queue[None] = asyncio.Queue()
    looked = asyncio.Event()
    looks = iter((False, True))

    def files() -> tuple[Path, Path]:
        if next(looks, True):
            looked.set()  # the second look comes after the first was kept
        return link, absent

    async def changed() -> None:
        seen.put_nowait(None)

    def relink() -> None:
        link.unlink()
        link.symlink_to(two)

    acts: list[Callable[[], object]] = [
        lambda: one.write_text("2"),
        lambda: absent.write_text("here now"),
        relink,
        absent.unlink,
    ]
    task = asyncio.create_task(watch(files, changed, interval=0.005))
    try:
        async with asyncio.timeout(20):
            await looked.wait()
            for act in acts:
                act()
                await seen.get()
    finally:
        task.cancel()


@pytest.mark.parametrize(("proxy", "outcome"), [(None, Outcome.REFUSED), (Recorded(), Outcome.TAKEN)])
async def test_a_new_model_needs_a_proxy_that_can_be_told(
    file: Path, proxy: Recorded | None, outcome: Outcome
) -> None:
    text = file.read_text()
    file.write_text(text[: text.index("\nsimulator:")])  # it would have to have the same models
    held, _ = generations(file, proxy=proxy)
    change(file, "model_config:\n", "model_config:\n  other: {preferred_endpoints: [small]}\n")
    assert await held.reload() is outcome


@pytest.mark.parametrize(("proxy", "said"), [(None, True), (Recorded(), False)])
async def test_who_renders_envoy_s_configuration_himself_is_told_that_a_guard_changed_it(
    file: Path, proxy: Recorded | None, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    held, _ = generations(file, proxy=proxy)
    change(file, "default_model: qwen3-8b", "default_model: qwen3-32b")
    assert await held.reload() is Outcome.TAKEN
    assert "render-envoy" not in caplog.text
    change(file, "  enabled: false                  # jailbreak", "  enabled: true  # jailbreak")
    assert await held.reload() is Outcome.TAKEN
    assert ("render-envoy" in caplog.text) is said


async def test_a_bug_while_reloading_is_told_and_ends_nothing(file: Path) -> None:
    async def breaks(configuration: Configuration) -> Snapshot:
        raise KeyError("secret")

    held, told = generations(file, breaks)
    change(file, "default_model: qwen3-8b", "default_model: qwen3-32b")
    assert await held.reload() is Outcome.REFUSED
    assert held.problem == "a bug of the router (KeyError); its log says where"
    assert told == [(Outcome.REFUSED, 1)]


async def test_other_tools_are_taken_over(file: Path) -> None:
    tools = file.parent / "examples" / "tools_db.json"
    text = file.read_text() + "\ntools: {enabled: true, tools_db_path: examples/tools_db.json}\n"
    file.write_text(text)
    held, _ = generations(file)
    tools.write_text(tools.read_text().replace("weather forecast", "weather"))
    assert await held.reload() is Outcome.TAKEN
    tools.write_text("[{")
    assert await held.reload() is Outcome.REFUSED
    assert held.problem is not None
    assert "tools_db.json" in held.problem
