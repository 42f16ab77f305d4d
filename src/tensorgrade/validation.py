"""Check a YAML document against a model, so that every mistake is reported with its line, its key and a remedy.

Trusted side; knows nothing about exercises. `validate` turns a `yamlfile.Document` into a frozen pydantic model, or
raises one `ExerciseFileError` that holds all the problems found, one per line. What is expected at a key, and an
example of it, comes from the JSON Schema of the model (``description`` and ``examples``), so that editors and error
messages say the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from .yamlfile import Document, Key, Problem, as_found, closest, refusal

Model = TypeVar("Model", bound=BaseModel)
Json = dict[str, Any]

_KEY_ITSELF = "[key]"  # pydantic's last location part when the name, not the value, is at fault


def complaint(fault: str, remedy: str, *, text_line: int | None = None) -> PydanticCustomError:
    """Return the error a model's validator raises when it has its own words for what is wrong."""
    context = {"fault": fault, "remedy": remedy, "text_line": text_line}
    return PydanticCustomError("complaint", "{fault}; {remedy}", context)


def complaints_about_items(complaints: Mapping[int, PydanticCustomError]) -> ValidationError:
    """Return the error a validator of a list raises when single items, given by index, are at fault."""
    details = [InitErrorDetails(type=fault, loc=(index,), input=None) for index, fault in complaints.items()]
    return ValidationError.from_exception_data("list", details)


def validate(
    document: Document,
    model: type[Model],
    *,
    context: Mapping[str, object] | None = None,
    also: Sequence[Problem] = (),
) -> Model:
    """Return the document as a frozen ``model``.

    Args:
        document: what `read` returned.
        model: a strict pydantic model; each of its fields has a description and an example.
        context: what the model's validators find as ``info.context``.
        also: problems the caller found, to be reported with all others.

    Raises:
        ExerciseFileError: all problems: those of the YAML, those of the model, and ``also``.
    """
    problems = [*document.problems, *also]
    try:
        value = model.model_validate(dict(document.content), context=dict(context or {}))
    except ValidationError as error:
        found = [details for details in error.errors() if not _is_echo(details)]
        problems += [_said(document, _schema(model), details) for details in found]
        raise refusal(problems) from None
    if problems:
        raise refusal(problems)
    return value


def _is_echo(details: ErrorDetails) -> bool:
    """Tell whether a list is "too short" only because pydantic does not count its wrong items."""
    return details["type"] == "too_short" and bool(details["input"])


def _said(document: Document, schema: Json, details: ErrorDetails) -> Problem:
    """Return one pydantic error in our words."""
    fault, remedy = _WORDING.get(details["type"], _unexpected)(schema, details)
    key = details["loc"][:-1] if details["loc"][-1] == _KEY_ITSELF else details["loc"]
    return document.problem(key, fault, remedy, details.get("ctx", {}).get("text_line"))


def _unexpected(schema: Json, details: ErrorDetails) -> tuple[str, str]:
    """A value, or a name an author chose, that is not what the schema describes."""
    key, found = details["loc"], as_found(details["input"])
    if key[-1] == _KEY_ITSELF:
        names = _schema_at(schema, key[:-2])["propertyNames"]
        return f"found the name {found}, expected {names['description']}", f"write for example `{names['examples'][0]}`"
    node = _schema_at(schema, key)
    return f"found {found}, expected {node['description']}", f"write {_example(key, node)}"


def _missing(schema: Json, details: ErrorDetails) -> tuple[str, str]:
    node = _schema_at(schema, details["loc"])
    return f"found nothing, expected {node['description']}", f"add {_example(details['loc'], node)}"


def _unknown_key(schema: Json, details: ErrorDetails) -> tuple[str, str]:
    *parent, name = details["loc"]
    known = _schema_at(schema, tuple(parent))["properties"]
    return f"found the unknown key {as_found(name)}", f"{closest(str(name), known)}, or remove it"


def _complained(schema: Json, details: ErrorDetails) -> tuple[str, str]:
    return details["ctx"]["fault"], details["ctx"]["remedy"]


_WORDING: Mapping[str, Callable[[Json, ErrorDetails], tuple[str, str]]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "complaint": _complained,
}
"""How a type of pydantic error is said; all others are values that are not what was expected."""


@cache
def _schema(model: type[BaseModel]) -> Json:
    return model.model_json_schema()


def _schema_at(schema: Json, key: Key) -> Json:
    """Return the part of a JSON Schema that describes the value at ``key``, references resolved."""
    node = schema
    for part in key:
        node = _below(node, part)
        if "$ref" in node:
            node = {**schema["$defs"][node["$ref"].rsplit("/", 1)[1]], **node}
    return node


def _below(node: Json, part: str | int) -> Json:
    if isinstance(part, int):
        return dict(node["items"])
    if part in node.get("properties", {}):
        return dict(node["properties"][part])
    (entry,) = node["patternProperties"].values()
    return dict(entry)


def _example(key: Key, node: Json) -> str:
    """Return the example a schema has for ``key`` as YAML on one line, in backticks."""
    value = node["examples"][0]
    if isinstance(value, str) and "\n" in value:
        return f"`{key[-1]}: |` and the code on the lines below it, indented"
    entry = value if isinstance(key[-1], int) else {key[-1]: value}
    line = yaml.safe_dump([entry], default_flow_style=True, allow_unicode=True, width=math.inf).strip()[1:-1]
    written = line if isinstance(key[-1], int) else line[1:-1]
    return f"`{written}`" if "const" in node else f"for example `{written}`"
