"""What the guards did, as log records: the audit trail of refusals, other routes and failures, and of answers
that the cache does not keep.

A record has types of personal data, scores, names of the configuration and digests; of a request nothing.
"""

import logging
from typing import TypeGuard

from router_extproc.base.refusals import Guarded
from router_extproc.exchange.effects import AnswerScreened, Note, RequestGuarded
from router_extproc.ports import Telemetry

LOGGER = "router_extproc.audit"

_log = logging.getLogger(LOGGER)


class Audited:
    """Implements `ports.Telemetry`: writes what is to be kept, and passes every note on to `telemetry`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def note(self, note: Note) -> None:
        if _is_kept(note):
            _log.info("%s", record(note))
        self._telemetry.note(note)


def _is_kept(note: Note) -> TypeGuard[RequestGuarded | AnswerScreened]:
    if isinstance(note, RequestGuarded):
        return note.outcome is not Guarded.PASSED
    return isinstance(note, AnswerScreened) and note.refused is not None


def record(note: RequestGuarded | AnswerScreened) -> str:
    """One line, `name=value` each; a name of the configuration may have spaces in it, so it is quoted."""
    if isinstance(note, RequestGuarded):
        did = {"guard": note.guard, "outcome": note.outcome.value}
    else:
        did = {"answer": "not_kept", "reason": note.refused.value if note.refused else "-"}
    fields = {
        **did,
        "key": repr(note.key),
        "model": repr(note.model),
        "score": "-" if note.score is None else f"{note.score:.3f}",
        "types": ",".join(sorted(note.types)) or "-",
        "skipped_characters": note.skipped,
        "tenant": note.tenant or "-",
        "reference": note.reference,
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())
