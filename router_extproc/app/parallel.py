"""Work on many things at once, in order, with a report of how far it has come."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from router_extproc.encoder.cpu import available_threads
from router_extproc.evaluation.progress import Progress

AHEAD = 4
"""Items taken ahead of the one whose result is next, for each thread: memory does not grow with the items."""

T = TypeVar("T")
R = TypeVar("R")


def on_all_cores(work: Callable[[T], R], items: Iterable[T], total: int, noun: str) -> Iterator[R]:
    """`work` on each of the `total` items, in their order, in threads that leave the interpreter's lock to
    each other while a model runs. Progress goes to stderr, where `noun` names what is counted."""
    progress = Progress(total, noun, sys.stderr)
    threads = available_threads()
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="evaluate")
    waiting: deque[Future[R]] = deque()
    done = 0
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) == AHEAD * threads:
                yield waiting.popleft().result()
                done += 1
                progress(done)
        while waiting:
            yield waiting.popleft().result()
            done += 1
            progress(done)
    finally:
        # Someone who presses Ctrl-C does not wait for what is left.
        pool.shutdown(cancel_futures=True)
    progress.end()
