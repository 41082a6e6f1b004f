"""How this process logs. An exception's message may be made of what people wrote: of exceptions, the log has
the types and the places in the program, and nothing else."""

import logging
import traceback


class Discreet(logging.Formatter):
    """For every record of the process, the libraries' too."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        raised = _raised(record)
        if raised is None:
            return super().format(record)
        # Its message is left out as well: libraries put the exception's into it.
        told = logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, "", None, None)
        told.created, told.msecs = record.created, record.msecs
        told.msg = f"unexpected {type(raised).__name__}{_places(raised)}"
        return super().format(told)


def _raised(record: logging.LogRecord) -> BaseException | None:
    if record.exc_info and record.exc_info[1] is not None:
        return record.exc_info[1]
    arguments = record.args if isinstance(record.args, tuple) else ()
    return next((each for each in (record.msg, *arguments) if isinstance(each, BaseException)), None)


def _places(raised: BaseException) -> str:
    frames = traceback.extract_tb(raised.__traceback__)[-12:]
    return "".join(f"\n  {each.filename}:{each.lineno} in {each.name}" for each in frames)
