"""What the models of YAML files have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WrapSerializer

from tensorgrade.validation import complaint, complaints_about_items

Value = TypeVar("Value")


class Model(BaseModel):
    """A frozen value read from YAML; unknown keys and other types than the declared ones are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class FrozenMapping(Mapping[str, Value]):
    """A mapping that keeps its order and cannot be changed; it can be hashed and pickled."""

    def __init__(self, content: Mapping[str, Value] | None = None) -> None:
        self._content = dict(content or {})

    def __getitem__(self, key: str) -> Value:
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __hash__(self) -> int:
        return hash(frozenset(self._content.items()))

    def __repr__(self) -> str:
        return f"FrozenMapping({self._content!r})"


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
FROZEN = (
    AfterValidator(FrozenMapping),
    WrapSerializer(lambda value, serialize: serialize(dict(value))),
    Field(json_schema_extra={"additionalProperties": False}),
)
