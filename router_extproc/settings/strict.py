"""The types that every part of the schema is made of."""

import re
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
CONTROL: Final = re.compile(r"[\x00-\x1f]")


def _name(text: object) -> object:
    if isinstance(text, str) and text and not NAME.fullmatch(text):
        raise PydanticCustomError(
            "name",
            "a name has letters, digits and . _ : / - only, and begins with a letter or digit; rename it "
            "everywhere it stands",
        )
    return text


def _label(text: object) -> object:
    if isinstance(text, str) and "," in text:
        raise PydanticCustomError(
            "label",
            "a name has no comma, because names are listed in a response header; write another character "
            "for it, here and wherever the name is used",
        )
    if isinstance(text, str) and CONTROL.search(text):
        raise PydanticCustomError(
            "label",
            "a name has no line break, tab or other control character; write a space for it, here and "
            "wherever the name is used",
        )
    return text


Port = Annotated[int, Field(ge=1, le=65535)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, BeforeValidator(_name), Field(min_length=1, max_length=128)]
Label = Annotated[str, BeforeValidator(_label), Field(min_length=1, max_length=128)]
"""A signal's or a decision's name. No comma: names are listed in a response header."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
"""The name of an environment variable. A key that was written in place of the name has other characters as a
rule, so that it is refused before a message could quote it."""
Host = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")]


class Strict(BaseModel):
    """Unknown keys are errors, values are never coerced from another type, instances never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
