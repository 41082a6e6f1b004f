from hypothesis import given
from hypothesis import strategies as st

from router_extproc.server.sessions import Sessions


def test_a_session_stays_with_its_last_model() -> None:
    sessions = Sessions(10, ttl=60)
    assert sessions.model_of("a", 0) is None
    sessions.remember("a", "small", 1)
    sessions.remember("a", "large", 2)
    sessions.remember("b", "small", 2)
    assert (sessions.model_of("a", 3), sessions.model_of("b", 3)) == ("large", "small")


def test_a_session_that_is_not_used_is_forgotten() -> None:
    sessions = Sessions(10, ttl=60)
    sessions.remember("a", "small", 0)
    assert sessions.model_of("a", 59.9) == "small"
    assert sessions.model_of("a", 60) is None
    assert len(sessions) == 0


@given(names=st.lists(st.sampled_from("abcdef"), max_size=50))
def test_only_the_latest_sessions_are_kept(names: list[str]) -> None:
    sessions = Sessions(3, ttl=1e9)
    for at, name in enumerate(names):
        sessions.remember(name, name.upper(), at)
    latest = list(dict.fromkeys(reversed(names)))[:3]
    assert len(sessions) == len(latest)
    assert all(sessions.model_of(name, len(names)) == name.upper() for name in latest)


def kept(sessions: Sessions, at: float, *names: str) -> set[str]:
    return {name for name in names if sessions.model_of(name, at) is not None}


def test_a_tenants_many_sessions_do_not_push_out_anothers_few() -> None:
    sessions = Sessions(10, ttl=1e9)
    sessions.remember("quiet/a", "small", 0)
    sessions.remember("quiet/b", "small", 1)
    for at in range(2, 200):
        sessions.remember(f"loud/{at}", "large", at)
    assert len(sessions) == 10
    assert kept(sessions, 200, "quiet/a", "quiet/b") == {"quiet/a", "quiet/b"}
    assert kept(sessions, 200, *(f"loud/{at}" for at in range(2, 200))) == {
        f"loud/{at}" for at in range(192, 200)
    }


def test_who_comes_late_gets_a_share() -> None:
    sessions = Sessions(4, ttl=1e9)
    for at in range(4):
        sessions.remember(f"first/{at}", "small", at)
    for at in range(4, 8):
        sessions.remember(f"late/{at}", "small", at)
    assert kept(sessions, 9, "first/2", "first/3", "late/6", "late/7") == {
        "first/2",
        "first/3",
        "late/6",
        "late/7",
    }


def test_what_is_too_old_goes_before_anybody_gives_way() -> None:
    sessions = Sessions(3, ttl=10)
    sessions.remember("old/a", "small", 0)
    sessions.remember("busy/a", "small", 8)
    sessions.remember("busy/b", "small", 9)
    sessions.remember("busy/c", "small", 10)
    assert kept(sessions, 11, "old/a", "busy/a", "busy/b", "busy/c") == {"busy/a", "busy/b", "busy/c"}


STEPS = st.tuples(st.sampled_from("ABC"), st.sampled_from("abcdef"), st.booleans(), st.integers(0, 4))


@given(steps=st.lists(STEPS, max_size=60))
def test_only_the_fullest_tenant_loses_its_oldest_live_session(
    steps: list[tuple[str, str, bool, int]],
) -> None:
    """Against a plain model that looks at everything."""
    sessions, known = Sessions(5, ttl=12), dict[str, float]()
    at = 0
    for tenant, name, asks, passed in steps:
        at += passed
        session = f"{tenant}/{name}"
        known = {k: used for k, used in known.items() if at - used < 12}
        if asks:
            assert (sessions.model_of(session, at) is not None) == (session in known)
            continue
        sessions.remember(session, "small", at)
        known[session] = at
        left = kept(sessions, at, *known)
        assert len(left) == min(5, len(known))
        counts = {t: sum(k.startswith(t) for k in known) for t in "ABC"}
        for gone in known.keys() - left:
            assert counts[gone[0]] == max(counts.values())
            assert all(known[gone] <= known[k] for k in left if k[0] == gone[0])
        known = {k: known[k] for k in left}
