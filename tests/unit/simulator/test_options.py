from router_extproc.simulator.options import SimulatedModel


def test_a_model_answers_to_its_name_first_and_then_to_its_aliases() -> None:
    assert SimulatedModel("m", "127.0.0.1", 0, aliases=("auto", "MoM")).names == ("m", "auto", "MoM")
