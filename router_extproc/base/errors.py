"""Errors a person reads: they name the place and the cure, and the command line prints them in one line."""


class OperatorError(Exception):
    """Something the operator can mend: a key in a file, a taken port, a missing model.

    `str()` of it is one complete line; no traceback accompanies it.
    """


class ConfigError(OperatorError):
    """A configuration file is wrong; the message begins with `FILE: path.to.key: `."""


class ModelError(OperatorError):
    """A model cannot be fetched, verified, built or trusted."""


class PortTakenError(OperatorError):
    """An address is in use by another process."""
