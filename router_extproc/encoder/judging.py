"""Asking heads, each by itself: one that fails is named, and leaves the others standing.

Knows nothing of which heads there are nor of what their labels lead to.
"""

from collections.abc import Mapping
from typing import Final, Protocol, TypeVar

ROUNDING: Final = 1e-6
"""By how much a probability may miss [0, 1]: the last digits of a sum."""

Subject_contra = TypeVar("Subject_contra", contravariant=True)
Subject = TypeVar("Subject")


class Judge(Protocol[Subject_contra]):
    """A head on the vector or on the text."""

    def probabilities(self, subject: Subject_contra, /) -> Mapping[str, float]: ...


class NotProbabilitiesError(Exception):
    """A head gave something that is not in [0, 1]: NaN, for example."""


def judged(
    heads: Mapping[str, Judge[Subject]], subject: Subject, failures: dict[str, BaseException]
) -> dict[str, Mapping[str, float]]:
    """What each of `heads` says of `subject`, by name. Why one said nothing is put into `failures`."""
    said: dict[str, Mapping[str, float]] = {}
    for name, head in heads.items():
        try:
            shares = head.probabilities(subject)
            if not all(-ROUNDING <= share <= 1 + ROUNDING for share in shares.values()):
                raise NotProbabilitiesError
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in the tokeniser's Rust is no Exception
            failures[name] = error
        else:
            said[name] = shares
    return said
