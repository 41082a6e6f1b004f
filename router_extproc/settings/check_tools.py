"""Whether the file of tools can be read and has tools in it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from router_extproc.settings.problem import Loc, Problem
from router_extproc.settings.schema import Settings

MAX_BYTES: Final = 16 * 1024 * 1024
PATH: Final[Loc] = ("tools", "tools_db_path")


def tool_problems(path: Path, settings: Settings) -> Iterator[Problem]:
    """Nothing is read unless tools are enabled: a section that is switched off may stay."""
    tools = settings.tools
    if not tools.enabled:
        return
    if tools.tools_db_path is None:
        yield Problem(PATH, "is required with `enabled: true`")
        return
    file = path.parent / tools.tools_db_path
    try:
        if file.stat().st_size > MAX_BYTES:
            yield Problem(PATH, f"{file} has more than {MAX_BYTES} bytes")
            return
        entries = json.loads(file.read_bytes())
    except OSError as error:
        yield Problem(PATH, f"{file} cannot be read: {error.strerror}; it is relative to this file")
    except (ValueError, RecursionError):
        yield Problem(PATH, f"{file} is not valid JSON")
    else:
        yield from _entry_problems(file, entries)


def _entry_problems(file: Path, entries: object) -> Iterator[Problem]:
    if not isinstance(entries, list) or not entries:
        yield Problem(PATH, f"{file} must be a list of tools")
        return
    names: set[str] = set()
    for index, entry in enumerate(entries):
        function = _function(entry)
        name = function.get("name") if function else None
        described = isinstance(entry, Mapping) and isinstance(entry.get("description"), str)
        if not isinstance(name, str) or not name or not described:
            yield Problem(
                PATH,
                f"{file}: entry {index} must be a `description` and a `tool` as requests have them, with "
                "function.name",
            )
        elif name in names:
            yield Problem(PATH, f"{file}: entry {index}: {name!r} stands twice")
        else:
            names.add(name)


def _function(entry: object) -> Mapping[str, object] | None:
    tool = entry.get("tool") if isinstance(entry, Mapping) else None
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return function if isinstance(function, Mapping) else None
