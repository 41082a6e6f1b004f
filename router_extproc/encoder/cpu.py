"""How many threads may run: the control group's CPU quota, not the machine's core count.

A container limited to two cores of a sixty-four core machine still sees sixty-four; a pool of that size is
throttled for most of every period. Formats: the kernel's cgroup-v2.rst (cpu.max) and sched-bwc.rst (v1).
"""

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

ReadText = Callable[[str], str | None]
"""The text of a file by absolute path, or None when there is none to read."""

MOST_USEFUL = 4
"""A sentence is little work to share: on two threads, 16 tokens take as long as on one, 128 tokens 0.75."""

V1_MOUNTS = ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct")
V2_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


def quota_from_v2(cpu_max: str) -> float | None:
    """CPUs granted by a `cpu.max` file (`QUOTA PERIOD` in microseconds); None for `max` or nonsense."""
    words = cpu_max.split()
    return _ratio(words[0], words[1]) if len(words) == 2 else None


def quota_from_v1(quota: str, period: str) -> float | None:
    """CPUs granted by `cpu.cfs_quota_us` and `cpu.cfs_period_us`; None when unlimited (-1) or nonsense."""
    return _ratio(quota.strip(), period.strip())


def _ratio(quota: str, period: str) -> float | None:
    if not (quota.isdecimal() and period.isdecimal()) or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


def tightest_quota(read: ReadText) -> float | None:
    """The smallest quota on the way from this process's control group up to the root; None without any.

    A parent's limit binds its children, so every level counts. The path in /proc/self/cgroup may be
    the host's, absent from a container's mount; walking up ends at the mount's root, which is right there.
    """
    quotas: list[float] = []
    for line in (read("/proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for folder in _ancestry(path):
            if controllers == "":
                found = [_read_v2(read, mount + folder) for mount in V2_MOUNTS]
            elif "cpu" in controllers.split(","):
                found = [_read_v1(read, mount + folder) for mount in V1_MOUNTS]
            else:
                found = []
            quotas += [quota for quota in found if quota is not None]
    return min(quotas, default=None)


def _ancestry(path: str) -> list[str]:
    """`/a/b` gives `/a/b`, `/a` and the empty string of the root; a path that climbs gives only the root."""
    if not path.startswith("/") or ".." in PurePosixPath(path).parts:
        return [""]
    folder = PurePosixPath(path)
    return ["" if str(level) == "/" else str(level) for level in (folder, *folder.parents)]


def _read_v2(read: ReadText, folder: str) -> float | None:
    text = read(folder + "/cpu.max")
    return None if text is None else quota_from_v2(text)


def _read_v1(read: ReadText, folder: str) -> float | None:
    quota = read(folder + "/cpu.cfs_quota_us")
    period = read(folder + "/cpu.cfs_period_us")
    return None if quota is None or period is None else quota_from_v1(quota, period)


def threads_for(quota: float | None, cpus: int) -> int:
    """Threads that `quota` CPUs can keep running, rounded down (a fraction only brings throttling)."""
    return max(1, min(cpus, cpus if quota is None else int(quota)))


def share_of(cpus: int, quota: float | None, workers: int) -> int:
    """Threads for one run of the encoder in each of `workers` processes: an equal share of the processors and
    of the quota, at most MOST_USEFUL, at least 1."""
    each = None if quota is None else quota / workers
    return threads_for(each, min(MOST_USEFUL, max(1, cpus // workers)))


def available_threads(workers: int = 1) -> int:
    """`share_of` this process's affinity and quota, which `workers` processes have together."""
    return share_of(len(os.sched_getaffinity(0)), tightest_quota(_read_text), workers)


def _read_text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
