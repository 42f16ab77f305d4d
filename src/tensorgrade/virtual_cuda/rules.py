"""Which arguments of an operator must be on one device, as torch's own description of its operators says it.

torch's wheels carry ``native_functions.yaml``, from which CUDA's device checks are generated: an operator checks all
its tensors unless it says ``device_check: NoCheck``, which those do that are built on ``TensorIterator`` and so accept
CPU scalars. Where the file is missing, operators tagged as pointwise are taken to be those.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch._ops import OpOverload

from .devices import CPU

_ON_CPU_AS_WELL = {
    "aten::index": {"indices"},
    "aten::_unsafe_index": {"indices"},
    "aten::index_put": {"indices"},
    "aten::index_put_": {"indices"},
    "aten::_index_put_impl_": {"indices"},
    "aten::_unsafe_index_put": {"indices"},
    "aten::_pack_padded_sequence": {"lengths"},
    "aten::_ctc_loss": {"targets", "input_lengths", "target_lengths"},
    "aten::_foreach_copy_": {"src"},
}
"""The arguments that CUDA takes from the CPU, whatever their shape."""
_SAME = "Expected all tensors to be on the same device, but "


class Rule:
    """What the kernel has to know about one operator; made once per operator."""

    __slots__ = ("draws", "is_free", "name", "on_cpu", "op", "outputs", "takes_generator", "tensors", "written")

    def __init__(self, op: OpOverload) -> None:
        arguments = op._schema.arguments
        self.op = op
        self.name: str = op._schema.name
        self.outputs = tuple(a.name for a in arguments if a.is_out)
        self.written = frozenset(a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write)
        self.tensors = tuple(i for i, a in enumerate(arguments) if str(a.type) == "Tensor")
        self.draws = torch.Tag.nondeterministic_seeded in op.tags
        self.takes_generator = any(a.name == "generator" for a in arguments)
        self.on_cpu: set[str] = _ON_CPU_AS_WELL.get(self.name, set())
        self.is_free = takes_scalars(op)

    def check(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Raise RuntimeError as CUDA does unless the tensors are where they must be."""
        named = [(name, tensor) for name, tensor in _tensors(self.op, args, kwargs) if name not in self.on_cpu]
        if self.name == "aten::convolution":
            _check_convolution(*args[:3])
        if self.is_free:
            _check_iterated(named, self.written)
        else:
            _check_same(self.op, named)
        if "indices" in self.on_cpu:
            _check_indices(args[0], args[1])


def _tensors(op: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    given = zip((a.name for a in op._schema.arguments), args, strict=False)
    for name, value in (*given, *kwargs.items()):
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, Tensor):
                yield name, item


def _check_same(op: OpOverload, named: list[tuple[str, Tensor]]) -> None:
    first = named[0][1].device
    for name, tensor in named:
        if tensor.device != first:
            raise RuntimeError(
                f"{_SAME}got {name} is on {tensor.device}, different from other tensors on {first} (when checking "
                f"argument in method {wrapper(op)})"
            )


def _check_iterated(named: list[tuple[str, Tensor]], written: frozenset[str]) -> None:
    """As TensorIterator does: CPU scalars may be read beside tensors of a device."""
    common = next((tensor.device for _, tensor in named if not tensor.is_cpu), CPU)
    for name, tensor in named:
        if tensor.device != common and (tensor.dim() > 0 or not tensor.is_cpu or name in written):
            raise RuntimeError(f"{_SAME}found at least two devices, {common} and {tensor.device}!")


def _check_convolution(image: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Convolutions compare types first, which do not tell the devices of one kind apart."""
    for name, other in (("weight", weight), ("bias", bias)):
        if other is not None and other.device.type != image.device.type:
            mkldnn = " or input should be a MKLDNN tensor and weight is a dense tensor"
            raise RuntimeError(
                f"Input type ({image.type()}) and {name} type ({other.type()}) should be the same"
                f"{mkldnn if name == 'weight' and image.is_cpu else ''}"
            )


def _check_indices(tensor: Tensor, indices: Sequence[Tensor | None]) -> None:
    for index in indices:
        if index is not None and index.device not in (CPU, tensor.device):
            refuse_indices(tensor)


def refuse_indices(tensor: Tensor) -> NoReturn:
    """Raise what indexing with a tensor of another device raises."""
    raise RuntimeError(f"indices should be either on cpu or on the same device as the indexed tensor ({tensor.device})")


def takes_scalars(op: OpOverload) -> bool:
    """Whether CUDA's version of an operator accepts CPU scalars beside tensors of a device."""
    checked = _described()
    if not checked:
        return torch.Tag.pointwise in op.tags
    name = _full_name(op)
    if name in checked:
        return "unchecked" in checked[name]
    return torch.Tag.pointwise in op.tags


def wrapper(op: OpOverload) -> str:
    """What CUDA's error messages call the implementation of an operator."""
    base, overload = op._schema.name.removeprefix("aten::"), op._schema.overload_name
    is_out = any(argument.is_out for argument in op._schema.arguments)
    base = f"{base}_out" if is_out else base
    if "structured" in _described().get(_full_name(op), ()):
        return f"wrapper_CUDA_{base}{'_' + overload if overload else ''}"
    return f"wrapper_CUDA_{overload}_{base}"


def _full_name(op: OpOverload) -> str:
    overload = op._schema.overload_name
    name = op._schema.name.removeprefix("aten::")
    return f"{name}.{overload}" if overload else name


@functools.cache
def _described() -> dict[str, frozenset[str]]:
    """What is special about each operator: ``unchecked``, ``structured``. Empty when torch does not say it."""
    package = importlib.util.find_spec("torchgen")
    folders = package.submodule_search_locations if package else None
    file = Path(next(iter(folders or ("",)))) / "packaged/ATen/native/native_functions.yaml"
    if not file.is_file():
        return {}
    return dict(map(_entry, re.split(r"(?m)^- func: ", file.read_text(encoding="utf-8"))[1:]))


def _entry(text: str) -> tuple[str, frozenset[str]]:
    facts = set()
    if re.search(r"(?m)^  device_check: NoCheck", text):
        facts.add("unchecked")
    if re.search(r"(?m)^  structured(_delegate)?: ", text):
        facts.add("structured")
    return text.partition("(")[0], frozenset(facts)


def preload() -> None:
    """Read the description now."""
    _described()
