from router_extproc.routing.facts import Facts
from router_extproc.routing.signals import Evidence, Reading
from tests.support.policies import Said, world


def test_a_signal_says_what_it_is_told_and_counts() -> None:
    signal = Said(("keyword", "k"), Evidence(True, 0.5))
    assert signal.evaluate(Reading(Facts(), None)) == Evidence(True, 0.5)
    assert signal.asked == 1


def test_models_that_are_down_are_not_available() -> None:
    assert not world("small").of("small").available
    assert world("small").of("large").available
