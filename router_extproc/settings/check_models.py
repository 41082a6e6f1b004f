"""Whether folders named in the configuration can be models, and what their labels are mapped to exists."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from router_extproc.screening.spans import PII_TYPES
from router_extproc.settings.problem import Loc, Problem, Severity, nearest
from router_extproc.settings.schema import Settings

TOKENISERS: Final = (
    "tokenizer.json",
    "vocab.txt",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "vocab.json",
)

NO_DATA: Final = "O"
"""What a label is mapped to that shall not count."""


def model_problems(path: Path, settings: Settings) -> Iterator[Problem]:
    """Of the models that stand in for the guards. Their folders are relative to `path`."""
    guards: tuple[tuple[Loc, str | None, set[str]], ...] = (
        (("prompt_guard",), settings.prompt_guard.path, settings.prompt_guard.model_fields_set),
        (
            ("classifier", "pii_model"),
            settings.classifier.pii_model.path,
            settings.classifier.pii_model.model_fields_set,
        ),
    )
    for loc, folder, given in guards:
        if folder is not None:
            yield from folder_problems(path.parent / folder, (*loc, "path"))
            continue
        for key in sorted({"labels", "max_tokens"} & given):
            text = "has no effect without path; give a model's folder, or remove it"
            yield Problem((*loc, key), text, Severity.IDLE)
    for label, kind in settings.classifier.pii_model.labels.items():
        if kind not in PII_TYPES and kind != NO_DATA:
            known = f"; the types are {', '.join(sorted(PII_TYPES))}, and {NO_DATA} for none"
            yield Problem(
                ("classifier", "pii_model", "labels", label),
                f"{kind!r} is no type of personal data{nearest(kind.upper(), PII_TYPES, else_say=known)}",
            )


def folder_problems(folder: Path, loc: Loc) -> Iterator[Problem]:
    """Why there cannot be a model in `folder`, which stands at `loc`."""
    if not folder.is_dir():
        yield Problem(loc, f"{folder} is not a folder; it is relative to this file")
        return
    if not (folder / "config.json").is_file():
        yield Problem(loc, f"{folder} has no config.json; it is a folder that `save_pretrained` wrote")
    if not any((folder / name).is_file() for name in TOKENISERS):
        yield Problem(loc, f"{folder} has no tokeniser ({', '.join(TOKENISERS)})")
    if not any(folder.glob("*.onnx")) and not any(folder.glob("onnx/*.onnx")):
        yield Problem(loc, f"{folder} has no .onnx file; export the model to ONNX")
