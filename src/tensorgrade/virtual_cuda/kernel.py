"""The one kernel behind all operators of the virtual devices.

It is registered below autograd, so that autograd, views, hooks and transforms are torch's own. It maps the tensors of a
call to CPU tensors in the same memory (`aliasing`), checks devices as CUDA would (`rules`), runs the CPU's kernel, and
maps results back. It keeps no reference to what it was given: a cycle would keep tensors alive until the next garbage
collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from . import tracing
from .aliasing import on_cpu
from .devices import CPU, chosen, device
from .generators import Drawing
from .memory import adopt, out_of_memory
from .rules import Rule
from .unsupported import refuse_layout_of, refuse_operator

_KEYS = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
_NUMBERS = (int, float, bool, complex)
_rules: dict[OpOverload, Rule] = {}


class _Call:
    """The tensors of one call: their common device, and which CPU tensor stands for which."""

    __slots__ = ("aliases", "index", "is_mixed")

    def __init__(self) -> None:
        self.aliases: dict[int, tuple[Tensor, Tensor]] = {}
        self.index = -1
        self.is_mixed = False

    def lower(self, value: Any) -> Any:
        """The value with CPU tensors in the place of device tensors."""
        if isinstance(value, Tensor):
            if not value.is_cuda:
                self.is_mixed = True
                return value
            index = value.get_device()
            if self.index < 0:
                self.index = index
            elif index != self.index:
                self.is_mixed = True
            alias = on_cpu(value)
            self.aliases[id(alias)] = (value, alias)
            return alias
        if isinstance(value, list | tuple) and value and not isinstance(value[0], _NUMBERS):
            return [self.lower(item) for item in value]
        return value

    def lift(self, value: Any) -> Any:
        """The result with device tensors in the place of CPU tensors."""
        if isinstance(value, Tensor):
            known = self.aliases.get(id(value))
            return _adopt(value, self.index) if known is None else known[0]
        if type(value) in (list, tuple):
            return type(value)([self.lift(item) for item in value])
        return value


def _adopt(tensor: Tensor, index: int) -> Tensor:
    try:
        return adopt(tensor, index)
    except RuntimeError:
        refuse_layout_of(tensor, "as a result")
        raise


def run(op: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run an operator whose arguments are, or whose result will be, on a virtual device."""
    rule = _rules.get(op)
    if rule is None:
        refuse_operator(op._schema.name)
        rule = _rules[op] = Rule(op)
    call = _Call()
    lowered = [call.lower(value) for value in args]
    named = {name: call.lower(value) for name, value in kwargs.items()} if kwargs else {}
    if call.is_mixed:
        rule.check(args, dict(kwargs))
    if "device" in named:
        wanted = named["device"]
        if wanted is not None and wanted.type != "cuda":
            return op(*lowered, **named)
        if wanted is not None or call.index < 0:
            call.index = chosen(wanted)
        named["device"] = CPU
        if named.get("pin_memory"):
            named["pin_memory"] = None
    if tracing.traces:
        tracing.record(tracing.Operation(rule.name, device(call.index)))
    if rule.outputs:
        return _run_into(rule, call, lowered, named, kwargs)
    result = _draw(rule, call.index, lowered, named) if rule.draws else _compute(rule, call.index, lowered, named)
    return call.lift(result)


def _compute(rule: Rule, index: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    for position in rule.tensors:
        # CPU scalars that stand for Python numbers arrive as numbers, which only some overloads for tensors take
        if position < len(args) and isinstance(args[position], _NUMBERS):
            return rule.op.overloadpacket(*args, **kwargs)
    try:
        return rule.op(*args, **kwargs)
    except RuntimeError as error:
        _translate(error, index)
        raise


def _draw(rule: Rule, index: int, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run an operator that draws random numbers, with the generator that it was given or the device's own."""
    with Drawing(kwargs.get("generator"), index, rule.takes_generator) as generator:
        if rule.takes_generator:
            kwargs["generator"] = generator
        return _compute(rule, index, args, kwargs)


def _translate(error: RuntimeError, index: int) -> None:
    """Turn the errors of CPU kernels that CUDA words differently into those of CUDA."""
    text = str(error)
    if "DefaultCPUAllocator: can't allocate memory" in text:
        size = next((int(word) for word in text.split() if word.isdigit()), 0)
        raise out_of_memory(size, index) from None


def _run_into(rule: Rule, call: _Call, args: Sequence[Any], named: dict[str, Any], given: Mapping[str, Any]) -> Any:
    """Run an operator with ``out=``: the tensors given there take the shape of the result, with a warning by torch."""
    for name in rule.outputs:
        if isinstance(named.get(name), Tensor):
            owned = named[name].clone()
            call.aliases[id(owned)] = (given[name], owned)
            named[name] = owned
    result = _draw(rule, call.index, args, named) if rule.draws else _compute(rule, call.index, args, named)
    for name in rule.outputs:
        if isinstance(named.get(name), Tensor):
            _write_back(given[name], named[name], call.index)
    return call.lift(result)


def _write_back(target: Tensor, result: Tensor, index: int) -> None:
    if target.shape == result.shape and result.numel():
        on_cpu(target).copy_(result)
    elif (target.shape, target.stride()) != (result.shape, result.stride()):
        replace(target, result, index)


def replace(target: Tensor, content: Tensor, index: int) -> Tensor:
    """Give a device tensor the memory, shape and strides of a CPU tensor that nobody else has."""
    adopted = adopt(content, index)
    return point(target, adopted.untyped_storage(), int(adopted.storage_offset()), content.shape, content.stride())


def point(target: Tensor, storage: Any, offset: int, size: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Let a device tensor show a part of a storage."""
    set_ = torch.ops.aten.set_.source_Storage_storage_offset
    set_.redispatch(_KEYS, target, storage, offset, list(size), list(stride))
    return target
