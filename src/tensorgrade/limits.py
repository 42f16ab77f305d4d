"""What a submission may use: the limits that exercises, assignments and the course state in YAML.

Trusted side. `tensorgrade.sandbox` and `tensorgrade.usage` enforce them; a limit that was exceeded is told by the name
of its key here and its value (`Allowance.told`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from .codec import MAX_PAYLOAD
from .errors import TOO_LARGE
from .model import Model, said

_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_AMOUNT = rf"^([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?) ?({'|'.join(_UNITS)})$"


def _bytes(amount: object) -> object:
    match = re.match(_AMOUNT, amount) if isinstance(amount, str) else None
    return int(float(match[1]) * _UNITS[match[2]]) if match else amount


def _amount(example: str, most: int | None = None) -> tuple[object, ...]:
    words = f"an amount with its unit ({', '.join(_UNITS)}), or a number of bytes"
    bound = {} if most is None else {"maximum": most}
    return (
        BeforeValidator(_bytes),
        WithJsonSchema({"type": ["integer", "string", "null"], "minimum": 1, "pattern": _AMOUNT, **bound}),
        said(words, example),
    )


_Bytes = Annotated[int, Field(gt=0)] | None
_Seconds = Annotated[float | None, said("a number of seconds greater than 0", 10, gt=0, allow_inf_nan=False)]
_Number = Annotated[int | None, said("a whole number greater than 0", 100, gt=0)]


class Limits(Model):
    """What one exercise of a submission may use; ``None`` where nothing was said.

    All but ``seconds``, ``output`` and ``result`` hold for the whole of a notebook as well, which may use as much as
    the one of its exercises that may use the most (for ``cpu_seconds``: as much as all together).
    """

    seconds: _Seconds = None
    """Wall-clock time of each cell, and of each call while the exercise is judged."""
    cpu_seconds: _Seconds = None
    """Processor time."""
    memory: Annotated[_Bytes, *_amount("1 GiB")] = None
    """Bytes on top of what Python and torch need."""
    processes: _Number = None
    """Processes and threads at a time."""
    disk: Annotated[_Bytes, *_amount("64 MiB")] = None
    """Bytes of all files together."""
    files: _Number = None
    """Files and folders."""
    output: Annotated[_Bytes, *_amount("1 MiB")] = None
    """Bytes of the outputs of each cell; what is beyond is cut, with a notice."""
    result: Annotated[Annotated[int, Field(gt=0, le=MAX_PAYLOAD)] | None, *_amount("64 MiB", MAX_PAYLOAD)] = None
    """Bytes that a call or a probe may return."""
    subprocesses: Annotated[bool | None, said("true or false", True)] = None
    """Whether other programs may be run."""

    def over(self, defaults: Limits) -> Limits:
        """Return these limits with the gaps filled from ``defaults``."""
        return defaults.model_copy(update=self.model_dump(exclude_none=True))

    def allowance(self) -> Allowance:
        """Return what may be used in the end."""
        return Allowance(**self.over(DEFAULT_LIMITS).model_dump())


@dataclass(frozen=True)
class Allowance:
    """What a submission may use; see `Limits` for the units."""

    seconds: float
    cpu_seconds: float
    memory: int
    processes: int
    disk: int
    files: int
    output: int
    result: int
    subprocesses: bool

    def told(self, key: str) -> str:
        """The value of the limit ``key`` as a person writes it: ``"1 GiB"``, ``"64"``."""
        value = getattr(self, key)
        if key == "disk":  # the kernel does not tell which of the two was reached
            return f"{_told_bytes(self.disk)} in {self.files} files"
        if key not in ("memory", "output", "result"):
            return f"{value:g} s" if key.endswith("seconds") else f"{value}"
        return _told_bytes(value)


def _told_bytes(value: int) -> str:
    unit = max((unit for unit, size in _UNITS.items() if value >= size), key=lambda unit: _UNITS[unit])
    return f"{value / _UNITS[unit]:g} {unit}"


DEFAULTS = Allowance(
    seconds=10,
    cpu_seconds=60,
    memory=2**30,
    processes=64,
    disk=64 * 2**20,
    files=1000,
    output=2**20,
    result=MAX_PAYLOAD,
    subprocesses=False,
)

DEFAULT_LIMITS = Limits(**asdict(DEFAULTS))


_SIGNS = (
    (TOO_LARGE, "result"),
    ("MemoryError", "memory"),
    ("can't allocate memory", "memory"),
    ("[Errno 12]", "memory"),
    ("can't start new thread", "processes"),
    ("[Errno 11]", "processes"),
    ("[Errno 28]", "disk"),
    ("[Errno 27]", "disk"),
)
"""What the kernel's limits look like in Python: ENOMEM, EAGAIN, ENOSPC and EFBIG, and errors that stand for them."""


def limit_behind(error: str) -> str | None:
    """The key of the limit that an exception, given as ``"Type: message"``, tells of, or None."""
    return next((key for sign, key in _SIGNS if sign in error), None)


def together(allowances: Iterable[Allowance]) -> Allowance:
    """Return what a notebook may use whose exercises may use this; the defaults when it has none."""
    every = list(allowances) or [DEFAULTS]
    most = {field.name: max(getattr(one, field.name) for one in every) for field in fields(Allowance)}
    return Allowance(**{**most, "cpu_seconds": sum(one.cpu_seconds for one in every)})
