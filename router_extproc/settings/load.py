"""From a YAML file to validated settings, or to one line that names every wrong key and the cure.

Whatever form the file has, errors and warnings name places in that file.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from router_extproc.base.errors import ConfigError
from router_extproc.settings.check import problems_in
from router_extproc.settings.dialects import Form, form_of, names_at, translate
from router_extproc.settings.dialects_draft import Draft
from router_extproc.settings.dialects_files import MILVUS, Source, gather
from router_extproc.settings.explain import problems_of
from router_extproc.settings.milvus_schema import MilvusSettings
from router_extproc.settings.problem import Loc, Notice, Problem, Severity
from router_extproc.settings.schema import Settings
from router_extproc.settings.yaml_file import parse_yaml, placeholders, read_yaml

MAX_ROUNDS: Final = 20
"""Of taking out what has no effect: what is taken out may leave something else without one."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked configuration. `warnings` name places in the file; `honoured` has a line for
    each of its sections that has an effect, with the keys that have one."""

    settings: Settings
    form: Form
    warnings: tuple[Notice, ...]
    honoured: tuple[str, ...]


def load(path: Path, text: bytes | None = None) -> tuple[Settings, tuple[Notice, ...]]:
    """The checked settings of `path`, in whatever form, and what deserves a warning; with `text`, as if that
    stood in it. Raises ConfigError with every problem found."""
    loaded = read_settings(path) if text is None else settle(path, parse_yaml(path, text))
    return loaded.settings, loaded.warnings


def load_settings(path: Path) -> Settings:
    """Like `load`, for who does not warn."""
    return read_settings(path).settings


def read_settings(path: Path) -> Loaded:
    """Like `load`, with what `check-config` tells. Raises ConfigError."""
    return settle(path, read_yaml(path))


def settle(path: Path, raw: Mapping[str, Any]) -> Loaded:
    """What `raw`, the document in `path`, comes to. In another form than ours, what has no effect is taken
    out until all that is left has one. Raises ConfigError."""
    form = form_of(raw)
    source = Source(raw) if form is Form.CANONICAL else gather(path, raw)
    given, raw = raw, source.document
    removed: frozenset[Loc] = frozenset()
    idle: list[Notice] = []
    for _ in range(MAX_ROUNDS):
        draft = translate(raw, form, removed)
        settings = _validated(path, source, draft)
        found = [_placed(problem, draft) for problem in problems_in(path, settings)]
        found = list(dict.fromkeys(found))
        without_effect = [problem for problem in found if problem.severity is Severity.IDLE]
        wrong = [problem for problem in found if problem.severity is Severity.ERROR]
        if wrong or (form is Form.CANONICAL and without_effect):
            wrong += without_effect if form is Form.CANONICAL else []
            raise _error(path, map(source.placed, wrong))
        warnings = [problem for problem in found if problem.severity is Severity.WARNING]
        if not without_effect:
            inert = {notice.loc for notice in draft.notices if notice.inert}
            texts = [each for each in placeholders(raw) if not _within(each.loc, inert)]
            remarks = _notices([*warnings, *texts], inert=False)
            notices = [*draft.notices, *idle, *remarks]
            told = tuple(dict.fromkeys(map(source.placed, notices)))
            return Loaded(settings, form, told, _all_honoured(given, source, notices))
        idle.extend(_notices(without_effect))
        removed |= {problem.loc for problem in without_effect}
    raise _error(path, map(source.placed, without_effect))


def load_milvus(path: Path) -> MilvusSettings:
    """The configuration of the Milvus store. Raises ConfigError."""
    raw = read_yaml(path)
    problems = list(placeholders(raw))
    try:
        settings = MilvusSettings.model_validate(raw)
    except ValidationError as error:
        problems.extend(problems_of(error, raw, MilvusSettings))
    if problems:
        raise _error(path, problems)
    return settings


def _validated(path: Path, source: Source, draft: Draft) -> Settings:
    inert = {notice.loc for notice in draft.notices if notice.inert}
    problems = [
        problem
        for problem in placeholders(source.document)
        if problem.severity is Severity.ERROR and not _within(problem.loc, inert)
    ]
    problems.extend(draft.problems)
    try:
        settings = Settings.model_validate(draft.document)
    except ValidationError as error:
        problems.extend(problems_of(error, draft.document, Settings, draft.origin_of, names_at))
    if problems:
        raise _error(path, map(source.placed, problems))
    return settings


def _within(loc: Loc, places: Collection[Loc]) -> bool:
    return any(loc[:length] in places for length in range(1, len(loc) + 1))


def _error(path: Path, problems: Iterable[Problem]) -> ConfigError:
    return ConfigError(f"{path}: {'; '.join(dict.fromkeys(map(str, problems)))}")


def _placed(problem: Problem, draft: Draft) -> Problem:
    return Problem(draft.origin_of(problem.loc), problem.text, problem.severity)


def _notices(problems: Iterable[Problem], *, inert: bool = True) -> list[Notice]:
    return [Notice(problem.loc, problem.text, inert) for problem in problems]


def _all_honoured(given: Mapping[str, Any], source: Source, notices: list[Notice]) -> tuple[str, ...]:
    """Also of the file about Milvus, if the configuration names one."""
    lines = _honoured(given, notices)
    if not source.milvus:
        return lines
    inside = [notice for notice in map(source.placed, notices) if notice.file]
    milvus = source.document[MILVUS[0]][MILVUS[1]]
    return (*lines, *(f"{source.milvus}: {line}" for line in _honoured(milvus, inside)))


def _honoured(raw: Mapping[str, Any], notices: Iterable[Notice]) -> tuple[str, ...]:
    """The keys of the file that have an effect, two levels deep."""
    gone = {notice.loc for notice in notices if notice.inert}
    lines = []
    for key, value in raw.items():
        loc: Loc = (key,)
        if loc in gone or _hollow(value, loc, gone):
            continue
        if isinstance(value, list):
            items = [(index, item) for index, item in enumerate(value) if (key, index) not in gone]
            names = dict.fromkeys(
                name
                for index, item in items
                for name in (item if isinstance(item, Mapping) else ())
                if (key, index, name) not in gone
            )
            lines.append(f"{key} ({len(items)}){': ' if names else ''}{', '.join(names)}")
        elif isinstance(value, Mapping):
            kept = [name for name in value if not _hollow(value[name], (key, name), gone)]
            lines.append(f"{key}: {', '.join(map(str, kept))}")
        else:
            lines.append(str(key))
    return tuple(lines)


def _hollow(value: object, loc: Loc, gone: set[Loc]) -> bool:
    """Whether nothing of `value` has an effect. A model is there even without a key of its own."""
    if loc in gone:
        return True
    if isinstance(value, Mapping) and value and loc[0] != "model_config":
        return all(_hollow(item, (*loc, name), gone) for name, item in value.items())
    if isinstance(value, list) and value:
        return all(_hollow(item, (*loc, index), gone) for index, item in enumerate(value))
    return False
