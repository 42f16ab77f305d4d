"""The entries of the OpInfo database: which of their samples run, and how these get to a device."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo, SampleInput
from torch.utils._pytree import tree_flatten, tree_unflatten

SAMPLES = 8
"""So many samples of each entry run, spread over all that it has."""
DTYPES = (torch.float32, torch.complex64, torch.int64, torch.float64, torch.float16, torch.bfloat16)
"""An entry runs with the first of these that it supports on the CPU."""
ON_THE_HOST = {("tensor_split", "args[0]"): "CUDA wants the tensor of indices on the CPU"}
"""Arguments that stay on the CPU when the others are on a device, since CUDA accepts nothing else."""


@dataclass(frozen=True)
class Arguments:
    """What one sample calls its operator with, as leaves of a tree with a name for each."""

    names: tuple[str, ...]
    leaves: tuple[Any, ...]
    spec: Any

    @property
    def call(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """The first argument, the other positional ones and those by keyword."""
        return tree_unflatten(list(self.leaves), self.spec)  # type: ignore[no-any-return]

    def tensors(self) -> list[Tensor]:
        """All tensors among the arguments, also those in lists."""
        return [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]


def all_entries() -> dict[str, OpInfo]:
    """The entries by name, with the variant after a dot where there is one; random ones no longer seed themselves."""
    for name, module in list(sys.modules.items()):
        if name.startswith("torch.testing._internal") and hasattr(module, "wrapper_set_seed"):
            vars(module)["wrapper_set_seed"] = lambda op, *args, **kwargs: op(*args, **kwargs)
    named: dict[str, OpInfo] = {}
    for entry in op_db:
        name = ".".join(filter(None, (entry.name, entry.variant_test_name)))
        named[name if name not in named else entry.formatted_name + f".{len(named)}"] = entry
    return named


def dtype_of(entry: OpInfo) -> torch.dtype | None:
    """The dtype that an entry runs with; None when the database names none for the CPU."""
    return next((dtype for dtype in DTYPES if dtype in entry.dtypes), None)


def samples_of(entry: OpInfo, dtype: torch.dtype, *, count: int = SAMPLES) -> list[SampleInput]:
    """At most `count` samples, the first and the last among them; the same ones in each process."""
    seed(0)
    differentiable = entry.supports_autograd and (dtype.is_floating_point or dtype.is_complex)
    samples: Iterator[SampleInput] = entry.sample_inputs("cpu", dtype, requires_grad=differentiable)  # type: ignore[no-untyped-call]
    every = list(itertools.islice(filter(names_a_device, samples), 400))
    if len(every) <= count:
        return every
    return [every[round(at * (len(every) - 1) / (count - 1))] for at in range(count)]


def names_a_device(sample: SampleInput) -> bool:
    """Whether a sample has a tensor or a device; without either, its results are on the CPU wherever it runs."""
    leaves = arguments_of(sample).leaves
    return any(isinstance(leaf, Tensor) or is_cpu(leaf) for leaf in leaves)


def seed(number: int) -> None:
    """Seed all devices and Python's own generator."""
    torch.manual_seed(number)
    random.seed(number)


def arguments_of(sample: SampleInput) -> Arguments:
    """The arguments of a sample, on the CPU as the database made them."""
    tree = (sample.input, tuple(sample.args), dict(sample.kwargs))
    leaves, spec = tree_flatten(tree)
    names = [name for part, head in zip(tree, ("input", "args", "kwargs"), strict=True) for name in named(part, head)]
    return Arguments(tuple(names), tuple(leaves), spec)


def named(tree: Any, head: str) -> Iterator[str]:
    """A name for each leaf of nested lists, tuples and dictionaries, in their order."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from named(value, f"{head}.{key}")
    elif isinstance(tree, list | tuple):
        for at, value in enumerate(tree):
            yield from named(value, f"{head}[{at}]")
    else:
        leaves = tree_flatten(tree)[0]
        yield from ([head] if len(leaves) == 1 else (f"{head}#{at}" for at in range(len(leaves))))


def placed(entry: OpInfo, arguments: Arguments, device: str, *, other: dict[int, str] | None = None) -> Arguments:
    """Copies of the arguments with all tensors on `device`, those at the positions in `other` elsewhere."""
    places = dict.fromkeys(range(len(arguments.leaves)), device) | (other or {})
    for at, name in enumerate(arguments.names):
        if (entry.name, name) in ON_THE_HOST and at not in (other or {}):
            places[at] = "cpu"
    leaves = (leaf_on(leaf, places[at]) for at, leaf in enumerate(arguments.leaves))
    return Arguments(arguments.names, tuple(leaves), arguments.spec)


def leaf_on(leaf: Any, device: str) -> Any:
    """A copy of a tensor on a device, or the device in the place of the CPU; all else as it is."""
    if isinstance(leaf, Tensor):
        return tensor_on(leaf, device).requires_grad_(leaf.requires_grad)
    return type(leaf)(device) if is_cpu(leaf) else leaf


def is_cpu(leaf: Any) -> bool:
    """Whether an argument is the device CPU."""
    return isinstance(leaf, str | torch.device) and str(leaf) == "cpu"


def tensor_on(tensor: Tensor, device: str) -> Tensor:
    """A copy of a tensor with the same strides and offset, whatever they are."""
    tensor = tensor.detach()
    lazy = tensor.layout is not torch.strided or tensor.is_nested or tensor.is_conj() or tensor.is_neg()
    if lazy or not tensor.numel():
        return tensor.clone().to(device)
    whole = tensor.as_strided((tensor.untyped_storage().nbytes() // tensor.element_size(),), (1,), 0)
    return whole.clone().to(device).as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).detach()


def tensors_in(result: Any) -> list[Tensor]:
    """All tensors in a result, in order."""
    return [leaf for leaf in tree_flatten(result)[0] if isinstance(leaf, Tensor)]
