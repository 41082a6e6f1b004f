"""Folders and labels of models that stand in for the router's own heads."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from router_extproc.settings.check import problems_in
from router_extproc.settings.problem import Severity, path_of
from router_extproc.settings.schema import Settings

FILE = Path("router.yaml")
POOL: dict[str, Any] = {
    "vllm_endpoints": [{"name": "a", "address": "127.0.0.1", "port": 9001}],
    "model_config": {"small": {"preferred_endpoints": ["a"]}},
    "default_model": "small",
}
TASK: dict[str, Any] = {
    "signals": {"complexity": [{"name": "task"}]},
    "decisions": [
        {
            "name": "hard",
            "rules": {"conditions": [{"type": "complexity", "name": "task:hard"}]},
            "modelRefs": [{"model": "small"}],
        }
    ],
}
SIDES = [{"name": side, "examples": [side]} for side in ("strong", "weak")]


def said(severity: Severity, path: Path = FILE, **keys: Any) -> dict[str, str]:
    found = problems_in(path, Settings.model_validate(POOL | keys))
    return {path_of(each.loc): each.text for each in found if each.severity is severity}


def guards(**keys: Any) -> dict[str, Any]:
    return {
        "prompt_guard": {"enabled": True, **keys},
        "classifier": {"pii_model": {"enabled": True, **keys}},
    }


def test_a_guard_s_folder_has_what_a_model_needs(tmp_path: Path) -> None:
    file, folder = tmp_path / "router.yaml", tmp_path / "model"
    found = said(Severity.ERROR, file, **guards(path="model"))
    assert set(found) == {"prompt_guard.path", "classifier.pii_model.path"}
    assert found["classifier.pii_model.path"] == f"{folder} is not a folder; it is relative to this file"
    (folder / "onnx").mkdir(parents=True)
    assert (
        "has no .onnx file; export" in said(Severity.ERROR, file, **guards(path="model"))["prompt_guard.path"]
    )
    for name in ("config.json", "vocab.txt", "onnx/model_quantized.onnx"):
        (folder / name).touch()
    assert said(Severity.ERROR, file, **guards(path="model")) == {}


def test_labels_and_windows_are_those_of_a_model_in_a_folder() -> None:
    keys: dict[str, Any] = {
        "prompt_guard": {"enabled": True, "labels": {"LABEL_1": "jailbreak"}},
        "classifier": {"pii_model": {"enabled": True, "max_tokens": 512}},
    }
    assert set(said(Severity.IDLE, **keys)) == {"prompt_guard.labels", "classifier.pii_model.max_tokens"}


def test_a_model_of_a_guard_that_is_off_has_no_effect(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    for name in ("config.json", "tokenizer.json", "model.onnx"):
        (tmp_path / name).touch()
    found = said(Severity.IDLE, file, prompt_guard={"path": "."}, classifier={"pii_model": {"path": "."}})
    assert set(found) == {"prompt_guard.path", "classifier.pii_model.path"}
    off = {"enabled": False, "path": "."}
    assert said(Severity.IDLE, file, prompt_guard=off, classifier={"pii_model": off}) == {}
    screened = {"screen_answers": {"pii_enabled": True, "jailbreak_enabled": True}}
    answers: dict[str, Any] = {"prompt_guard": {"path": "."}, "classifier": {"pii_model": {"path": "."}}}
    assert said(Severity.IDLE, file, semantic_cache=screened, **answers) == {}


def test_a_label_is_mapped_to_a_type_or_to_none(tmp_path: Path) -> None:
    labels = {"MISC": "O", "NICK": "PERSON", "MAIL": "EMAIL_ADRESS", "LAW": "LEGAL"}
    found = said(Severity.ERROR, classifier={"pii_model": {"enabled": True, "path": "x", "labels": labels}})
    place = "classifier.pii_model.labels"
    assert found[f"{place}.MAIL"] == (
        "'EMAIL_ADRESS' is no type of personal data; did you mean `EMAIL_ADDRESS`?"
    )
    assert found[f"{place}.LAW"].endswith("ZIP_CODE, and O for none")
    assert {key for key in found if key.startswith(place)} == {f"{place}.MAIL", f"{place}.LAW"}


@pytest.mark.parametrize(
    "keys",
    [
        {"prompt_guard": {"labels": {"LABEL_1": "attack"}}},
        {"prompt_guard": {"max_tokens": 15}},
        {"classifier": {"pii_model": {"max_tokens": 8193}}},
    ],
)
def test_values_out_of_range_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(POOL | keys)


def test_a_classifier_may_stand_in_for_the_complexity_head() -> None:
    own: dict[str, Any] = {"name": "own", "classes": SIDES, "use_as_complexity": True}
    assert said(Severity.ERROR, classifiers=[own], **TASK) == {}
    assert said(Severity.IDLE, classifiers=[own], **TASK) == {}
    place = "classifiers[0].use_as_complexity"
    assert "no complexity signal asks the head" in said(Severity.IDLE, classifiers=[own])[place]
    other = own | {"classes": [SIDES[0], SIDES[1] | {"name": "easy"}]}
    assert said(Severity.ERROR, classifiers=[other], **TASK) == {
        place: "needs classes called `strong` and `weak`; rename them"
    }
    both = said(Severity.ERROR, classifiers=[own | {"use_as_domain": True}], **TASK)
    assert both[place] == "a classifier stands in for one head, and use_as_domain is true"
    twice = said(Severity.ERROR, classifiers=[own, own | {"name": "other"}], **TASK)
    assert twice == {"classifiers[1].use_as_complexity": "'own' stands in for the complexity head already"}


def test_classes_have_their_own_names() -> None:
    own = {"name": "own", "classes": SIDES, "labels": {"a": "b"}, "use_as_complexity": True}
    found = said(Severity.IDLE, classifiers=[own], **TASK)
    assert found == {"classifiers[0].labels": "has no effect with classes; rename those"}
