"""Messages as YAML text. The only place that knows how Envoy reads YAML."""

import re
from collections.abc import Mapping
from typing import Any, cast

import betterproto2
import yaml

HEADER = "# rendered by `router-extproc render-envoy`; do not edit\n"

FIELD_NAMES = cast("betterproto2.Casing", str)
"""Keeps the proto's own field names, which is how Envoy's documentation writes them.

`to_dict` calls its casing with each name. The library's SNAKE would re-derive the name and turn
`enforcing_consecutive_5xx` into one that Envoy does not know.
"""

PLAIN = re.compile(r"[A-Za-z_]{2}.*", re.DOTALL)
"""Texts that no YAML reader takes for a number, whichever version of YAML it follows."""


class _Dumper(yaml.SafeDumper):
    """Quotes what Envoy's YAML reader would take for another type and this library's would not.

    That reader knows `1e3` as a number and `y` as a truth value; a model may have such a name.
    """


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if PLAIN.fullmatch(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def content_of(message: betterproto2.Message) -> dict[str, Any]:
    """What the message says, under the proto's own field names."""
    return message.to_dict(casing=FIELD_NAMES)


def yaml_text(content: Mapping[str, Any]) -> str:
    """Equal content gives equal text."""
    return HEADER + yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, width=110)
