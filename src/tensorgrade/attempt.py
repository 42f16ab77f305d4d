"""`Attempt`: one call of a student's function and what came of it; and reading what a submission process answers.

Trusted side. Nothing that an answer claims is believed but its form; lines of code that it names are looked up in the
cells as they were handed in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from .codec import Message, Plain
from .diagnosis.raising import diagnose_error
from .errors import ProtocolError
from .evidence import Evidence, TracedLine
from .findings import Finding, Mismatch, finding, public_error
from .observation import MAX_NAME, MAX_TRACE, Observed, ObservedModule, ObservedObject, ObservedTensor, read
from .observer import Observer
from .parcel import unpack
from .showing import MAX_SHOWN, shown_call

Kind = TypeVar("Kind")

MAX_ERROR_TYPES = 100
MAX_ERROR_TEXT = 2000
MAX_SEARCHED = 10_000
"""How many values of an answer are looked through for the one that a finding is about."""


@dataclass(frozen=True)
class RaisedError:
    """An exception of the student's code.

    Attributes:
        types: the names of its types, its own first.
        text: its message.
        limit: what to tell when it comes from a limit that was exceeded, else None.
        trace: the lines of the notebook that it passed, outermost first.
    """

    types: tuple[str, ...]
    text: str
    limit: Finding | None = None
    trace: tuple[TracedLine, ...] = ()

    def told(self, code: str, **facts: str) -> Finding:
        """The finding: of a limit, of what torch's own message means, or else `code` with `facts`."""
        if self.limit is not None:
            return self.limit
        name = public_error(self.types)
        detail = f"({self.types[0] if self.types else 'error'}: {self.text})"
        if (known := diagnose_error(name, self.text)) is not None:
            return finding(known.code, detail, **known.facts)
        return finding(code, detail, error=name, **facts)


@dataclass(frozen=True)
class Attempt:
    """One call of a student's function, whatever came of it.

    Attributes:
        name: the function.
        value: what it returned; None when it raised.
        error: what it raised, or None.
        arguments, keywords: the arguments after the call; identities and storages can be compared with those of
            `value`.
        sent: the arguments as they were packed, before the call.
        instructions, operations: what the call cost (see `tensorgrade.work`), if it was measured.
    """

    name: str
    value: Observed
    error: RaisedError | None
    arguments: tuple[Observed, ...]
    keywords: dict[str, Observed]
    sent: bytes
    instructions: int = 0
    operations: tuple[str, ...] = ()

    @property
    def before(self) -> tuple[Observed, ...]:
        """The positional arguments before the call."""
        return self._before[0]

    @property
    def keywords_before(self) -> dict[str, Observed]:
        """The keyword arguments before the call."""
        return self._before[1]

    @functools.cached_property
    def _before(self) -> tuple[tuple[Observed, ...], dict[str, Observed]]:
        return _described(*unpack(self.sent))

    def returned(self) -> Observed:
        """The value; raises `Mismatch` when the call raised."""
        if self.error is not None:
            raise Mismatch(self.error.told("raised", name=self.name), self)
        return self.value


@dataclass(frozen=True)
class Asked:
    """What a submission was asked and gave: a call or a probe.

    Attributes:
        parts: the values that came of it.
        told: gives the text of the call.
        error: what was raised, or None.
    """

    parts: tuple[Observed, ...]
    told: Callable[[], str]
    error: RaisedError | None = None

    @classmethod
    def of(cls, attempt: Attempt) -> Asked:
        """That of an attempt."""
        parts = (attempt.value, *attempt.arguments, *attempt.keywords.values())
        return cls(parts, functools.partial(told_call, attempt.name, attempt.sent), attempt.error)

    def explain(self, found: Finding) -> Finding:
        """Return the finding with the call, and what was raised, as evidence."""
        error = self.error.text[:MAX_SHOWN] if self.error else None
        evidence = replace(found.evidence or Evidence(), call=self.told() or None, error=error)
        return replace(found, evidence=evidence, trace=self.error.trace if self.error else ())

    def holds(self, value: object) -> bool:
        """Whether this very object is among what came of it, at any depth."""
        waiting, left = [*self.parts], MAX_SEARCHED
        while waiting and left:
            left -= 1
            part = waiting.pop()
            if part is value:
                return True
            waiting += _inside(part)
        return False


@dataclass
class Journal:
    """What a test has asked of a submission so far.

    Attributes:
        asked: what was answered, in order.
        unanswered: what was not, if anything was.
    """

    asked: list[Asked] = field(default_factory=list)
    unanswered: Asked | None = None

    def begin(self) -> None:
        """Forget what earlier tests have asked."""
        self.asked.clear()
        self.unanswered = None

    def explain(self, mismatch: Mismatch) -> Finding:
        """Return the finding of a mismatch, with the call that it is about as evidence if that is certain."""
        asked = self._behind(mismatch.about)
        return mismatch.finding if asked is None else asked.explain(mismatch.finding)

    def _behind(self, about: object) -> Asked | None:
        if isinstance(about, Attempt):
            return Asked.of(about)
        if not _is_one_of_its_kind(about) and len(self.asked) != 1:
            return None  # the same number or text may have come of another call
        return next((asked for asked in self.asked if asked.holds(about)), None)


def told_call(name: str, sent: bytes) -> str:
    """Return the text of a call from its arguments as they were packed."""
    return shown_call(name, *_described(*unpack(sent)))


def told_probe(sent: bytes) -> str:
    """Return the text of a probe's arguments, without its name, which is the grader's."""
    _, arguments, keywords = unpack(sent)
    return shown_call(None, *_described(arguments, keywords)) if arguments or keywords else ""


def _is_one_of_its_kind(value: object) -> bool:
    if isinstance(value, (ObservedTensor, ObservedModule, ObservedObject)):
        return True
    return isinstance(value, (list, tuple, dict)) and bool(value)


def _inside(value: Observed) -> Iterator[Observed]:
    if isinstance(value, (list, tuple)):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, ObservedTensor):
        yield value.grad
    elif isinstance(value, ObservedModule):
        yield from (*value.parameters.values(), *value.buffers.values())
    elif isinstance(value, ObservedObject):
        yield value.items


# --------------------------------------------------------------------------------------------- reading answers


def _described(
    arguments: Sequence[object], keywords: dict[str, object]
) -> tuple[tuple[Observed, ...], dict[str, Observed]]:
    """Return the observations of arguments that were or will be sent."""
    observer = Observer()
    return read_tuple(observer.describe(list(arguments))), read_dict(observer.describe(keywords))


def read_error(error: object, cells: Sequence[str]) -> tuple[tuple[str, ...], str, tuple[TracedLine, ...]]:
    """Return the names of an error's types, its message and the lines of `cells` that it passed.

    Raises `ProtocolError` when the description is malformed.
    """
    facts = of_type(dict, error)
    types = [of_type(str, name)[:MAX_NAME] for name in of_type(list, facts.get("types"))[:MAX_ERROR_TYPES]]
    places = of_type(list, facts.get("trace", []))[-MAX_TRACE:]
    lines = (_traced(of_type(list, place), cells) for place in places)
    return tuple(types), of_type(str, facts.get("text"))[:MAX_ERROR_TEXT], tuple(filter(None, lines))


def _traced(place: list[Plain], cells: Sequence[str]) -> TracedLine | None:
    """The line that is meant, or None when there is no such line, or nothing on it."""
    if len(place) != 2:
        raise ProtocolError("a place in a notebook has not two numbers")
    cell, line = (of_type(int, number) for number in place)
    if not 1 <= cell <= len(cells):
        return None
    lines = cells[cell - 1].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    line += next((number for number, text in enumerate(lines) if text.strip()), 0)  # IPython leaves these lines out
    if not 1 <= line <= len(lines) or not lines[line - 1].strip():
        return None
    return TracedLine(cell, line, lines[line - 1].rstrip()[:MAX_SHOWN])


def of_type(kind: type[Kind], value: object) -> Kind:
    """Return `value`; raises `ProtocolError` when it is not exactly of this type."""
    if type(value) is not kind:
        raise ProtocolError(f"an answer has something else where it should have a {kind.__name__}")
    return value


def read_value(answer: Message) -> Observed:
    """Return the value in an answer."""
    if "value" not in answer:
        raise ProtocolError("an answer has neither a value nor an error")
    return read(answer["value"])


def read_tuple(plain: Plain) -> tuple[Observed, ...]:
    """Return several values."""
    items = read(plain)
    if not isinstance(items, list):
        raise ProtocolError("arguments are not described as a list")
    return tuple(items)


def read_dict(plain: Plain) -> dict[str, Observed]:
    """Return several values by name."""
    items = read(plain)
    if not isinstance(items, dict):
        raise ProtocolError("keywords are not described as a dict")
    return items
