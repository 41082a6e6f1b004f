import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from router_extproc import __version__
from router_extproc.app.configuration import load
from router_extproc.app.telling import Telling, collecting, collector_of
from router_extproc.ports import Unwatched
from router_extproc.settings.observability_schema import Observability, TraceSettings
from router_extproc.settings.schema import Settings
from router_extproc.telemetry.log import LOGGER
from router_extproc.telemetry.metrics import Metrics
from router_extproc.telemetry.story import StoryWitness

SHIPPED = load(Path(__file__).parents[3] / "config" / "router.yaml").settings

NOTHING: Mapping[str, object] = {"decision_log": False, "decisions_kept": 0}


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    """As it was before."""
    before = logging.getLogger(LOGGER).level
    yield
    logging.getLogger(LOGGER).setLevel(before)


def observed(**given: object) -> Settings:
    return SHIPPED.model_copy(update={"observability": Observability.model_validate(given)})


@pytest.mark.parametrize(
    ("given", "watched"),
    [
        ({}, True),
        ({"decision_log": False}, True),
        ({"decisions_kept": 0}, True),
        (NOTHING, False),
        ({**NOTHING, "log_level": "debug"}, True),
        ({**NOTHING, "debug_token_file": "t"}, True),
        ({**NOTHING, "tracing": {"enabled": True, "exporter": {"type": "stdout"}}}, True),
    ],
)
def test_exchanges_are_watched_where_somebody_is_to_be_told(
    given: Mapping[str, object], watched: bool
) -> None:
    expected = StoryWitness if watched else Unwatched
    assert isinstance(Telling(observed(**given)).witness(), expected)


def test_another_configuration_changes_the_level_and_who_is_told() -> None:
    telling = Telling(observed(**NOTHING))
    telling.configure(observed(log_level="debug"))
    assert logging.getLogger(LOGGER).level == logging.DEBUG
    assert isinstance(telling.witness(), StoryWitness)
    assert telling.recent.size == 500
    telling.configure(observed(**NOTHING, log_level="error"))
    assert telling.recent.size == 0
    assert logging.getLogger(LOGGER).level == logging.ERROR
    assert isinstance(telling.witness(), Unwatched)


@pytest.mark.parametrize("given", [{}, {"enabled": True, "exporter": {"type": "stdout"}}])
async def test_without_a_collector_nothing_is_sent(given: dict[str, object]) -> None:
    async with collecting(TraceSettings.model_validate(given), Metrics().traced) as traces:
        assert traces is None


def test_a_service_is_called_what_the_configuration_says() -> None:
    resource = {"service_name": "mine", "deployment_environment": "test"}
    found = collector_of(TraceSettings.model_validate({"resource": resource}))
    assert found.resource == {
        "service.name": "mine",
        "service.version": __version__,
        "deployment.environment.name": "test",
    }
