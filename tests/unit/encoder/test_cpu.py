"""Threads follow the control group's quota, wherever on the way to the root it stands."""

import pytest

from router_extproc.encoder.cpu import quota_from_v1, quota_from_v2, share_of, threads_for, tightest_quota


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200000 100000\n", 2.0),
        ("50000 100000\n", 0.5),
        ("max 100000\n", None),
        ("0 100000\n", None),
        ("100000 0\n", None),
        ("100000\n", None),
        ("-1 100000\n", None),
        ("", None),
    ],
)
def test_v2_quota_is_read_from_cpu_max(text: str, expected: float | None) -> None:
    assert quota_from_v2(text) == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [("150000\n", "100000\n", 1.5), ("-1\n", "100000\n", None), ("100000\n", "x\n", None)],
)
def test_v1_quota_is_read_from_its_two_files(quota: str, period: str, expected: float | None) -> None:
    assert quota_from_v1(quota, period) == expected


@pytest.mark.parametrize(
    ("quota", "cpus", "expected"),
    [(None, 8, 8), (2.0, 8, 2), (1.9, 8, 1), (0.2, 8, 1), (16.0, 4, 4), (None, 1, 1)],
)
def test_threads_are_rounded_down_and_never_zero(quota: float | None, cpus: int, expected: int) -> None:
    assert threads_for(quota, cpus) == expected


def test_the_tightest_limit_of_a_v2_path_counts() -> None:
    files = {
        "/proc/self/cgroup": "0::/pod/container\n",
        "/sys/fs/cgroup/pod/container/cpu.max": "400000 100000\n",
        "/sys/fs/cgroup/pod/cpu.max": "100000 100000\n",
        "/sys/fs/cgroup/cpu.max": "max 100000\n",
    }
    assert tightest_quota(files.get) == 1.0


def test_a_v1_path_of_the_host_is_looked_up_at_the_mount_of_the_container() -> None:
    files = {
        "/proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000\n",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    assert tightest_quota(files.get) == 3.0


def test_a_controller_other_than_cpu_is_not_asked() -> None:
    files = {
        "/proc/self/cgroup": "5:cpuset:/a\n",
        "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "100000\n",
        "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
    }
    assert tightest_quota(files.get) is None


@pytest.mark.parametrize("path", ["", "../../etc", "/../sibling"])
def test_a_path_outside_the_namespace_means_the_root(path: str) -> None:
    asked: list[str] = []

    def read(name: str) -> str | None:
        asked.append(name)
        return f"0::{path}\n" if name == "/proc/self/cgroup" else None

    assert tightest_quota(read) is None
    assert asked[1:] == ["/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/unified/cpu.max"]


def test_without_control_groups_there_is_no_quota() -> None:
    assert tightest_quota(lambda name: None) is None


@pytest.mark.parametrize(
    ("cpus", "quota", "workers", "expected"),
    [(8, None, 1, 4), (8, None, 4, 2), (8, 4.0, 4, 1), (8, 4.0, 2, 2), (2, None, 4, 1), (64, 16.0, 4, 4)],
)
def test_workers_share_the_processors_and_the_quota(
    cpus: int, quota: float | None, workers: int, expected: int
) -> None:
    assert share_of(cpus, quota, workers) == expected
