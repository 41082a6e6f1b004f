"""What the guards did, as log records: the audit trail of refusals, other routes and failures.

A record has types of personal data, scores, names of the configuration and digests; of a request nothing.
"""

import logging

from router_extproc.base.refusals import Guarded
from router_extproc.exchange.effects import Note, RequestGuarded
from router_extproc.ports import Telemetry

LOGGER = "router_extproc.audit"

_log = logging.getLogger(LOGGER)


class Audited:
    """Implements `ports.Telemetry`: writes what is to be kept, and passes every note on to `telemetry`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def note(self, note: Note) -> None:
        if isinstance(note, RequestGuarded) and note.outcome is not Guarded.PASSED:
            _log.info("%s", record(note))
        self._telemetry.note(note)


def record(note: RequestGuarded) -> str:
    """One line, `name=value` each; a name of the configuration may have spaces in it, so it is quoted."""
    fields = {
        "guard": note.guard,
        "outcome": note.outcome.value,
        "key": repr(note.key),
        "model": repr(note.model),
        "score": "-" if note.score is None else f"{note.score:.3f}",
        "types": ",".join(sorted(note.types)) or "-",
        "skipped_tokens": note.skipped,
        "tenant": note.tenant or "-",
        "reference": note.reference,
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())
