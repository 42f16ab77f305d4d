"""What the models of YAML files have in common."""

from __future__ import annotations

from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tensorgrade.yamlfile import complaint, complaints_about_items


class Model(BaseModel):
    """A frozen value read from YAML; unknown keys and other types than the declared ones are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def said(expected: str, example: object, **rules: Any) -> Any:
    """Return a ``Field`` with the words that an error message and an editor have for it."""
    return Field(description=expected, examples=[example], **rules)


def _each_once(items: tuple[str, ...]) -> tuple[str, ...]:
    repeated = {i: item for i, item in enumerate(items) if item in items[:i]}
    if repeated:
        faults = {i: complaint(f'found "{item}" again', "name it once") for i, item in repeated.items()}
        raise complaints_about_items(faults)
    return items


LISTED = Field(strict=False)  # YAML has lists only, and a strict tuple refuses those
EACH_ONCE = (LISTED, Field(json_schema_extra={"uniqueItems": True}), AfterValidator(_each_once))
