"""What the models of YAML files have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """A frozen value read from YAML; unknown keys and other types than the declared ones are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def said(expected: str, example: object, **rules: Any) -> Any:
    """Return a ``Field`` with the words that an error message and an editor have for it."""
    return Field(description=expected, examples=[example], **rules)
