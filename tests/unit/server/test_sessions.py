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
