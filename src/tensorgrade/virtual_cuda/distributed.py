"""Process groups with virtual devices: gloo's, which ``nccl`` is accepted as another name for.

Collectives on device tensors run on the CPU tensors in the same memory, and groups named ``nccl`` take tensors of the
CPU too. `DistributedDataParallel` is torch's own; only the times that it would log are not taken.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import cpp_objects, tracing
from .aliasing import on_cpu
from .devices import device
from .libraries import library
from .patching import replace


def register() -> None:
    """Register the collectives for device tensors; once per process."""
    if not torch.distributed.is_available():
        return
    collectives = library("c10d")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that its own registrations for CUDA are overridden
        for name in torch._C._dispatch_get_registrations_for_dispatch_key("CUDA"):
            if name.startswith("c10d::"):
                short = name.removeprefix("c10d::")
                op = getattr(torch.ops.c10d, short).default
                collectives.impl(short, functools.partial(_collective, op), "CUDA", allow_override=True)


def _collective(op: Any, *args: Any, **kwargs: Any) -> Any:
    lowered: dict[int, tuple[Tensor, Tensor]] = {}
    result = op(*[_lower(value, lowered) for value in args], **{k: _lower(v, lowered) for k, v in kwargs.items()})
    if tracing.traces and lowered:
        first = next(iter(lowered.values()))[0]
        name = op._schema.name.removeprefix("c10d::")
        tracing.record(tracing.Collective(name, device(first.get_device())))
    return _lift(result, lowered)


def _lower(value: Any, lowered: dict[int, tuple[Tensor, Tensor]]) -> Any:
    if isinstance(value, Tensor) and value.is_cuda:
        alias = on_cpu(value)
        lowered[id(alias)] = (value, alias)
        return alias
    if isinstance(value, list | tuple):
        return [_lower(item, lowered) for item in value]
    return value


def _lift(value: Any, lowered: dict[int, tuple[Tensor, Tensor]]) -> Any:
    if isinstance(value, Tensor):
        return lowered[id(value)][0] if id(value) in lowered else value
    if type(value) in (list, tuple):
        return type(value)([_lift(item, lowered) for item in value])
    return value


def patch() -> None:
    """Let ``nccl`` be a name for gloo."""
    if not torch.distributed.is_available():
        return
    from torch.distributed import distributed_c10d as groups

    cpp_objects.forget_timer()
    groups.Backend.default_device_backend_map["cuda"] = groups.Backend.GLOO
    named = {name: _with_gloo(getattr(groups, name)) for name in ("init_process_group", "new_group")}
    for owner in (groups, torch.distributed):
        replace(owner, named | {"is_nccl_available": lambda: True})
    replace(torch._C._distributed_c10d.Logger, {"set_runtime_stats_and_log": _log_nothing})


def _log_nothing(logger: Any) -> None:
    """Times of a device are taken with its events, in C++."""


def _with_gloo(make: Callable[..., Any]) -> Callable[..., Any]:
    """`make`, whose backend may be ``nccl``, alone or beside another."""
    parameters = inspect.signature(make)

    @functools.wraps(make)
    def make_with_gloo(*args: Any, **kwargs: Any) -> Any:
        bound = parameters.bind(*args, **kwargs)
        wanted = bound.arguments.get("backend")
        if not isinstance(wanted, str) or "nccl" not in wanted.lower():
            return make(*args, **kwargs)
        bound.arguments["backend"] = wanted.lower().replace("nccl", "gloo")
        bound.arguments.pop("pg_options", None)  # those of NCCL
        made = make(*bound.args, **bound.kwargs)
        if wanted.lower() == "nccl":
            _call_nccl(made)
        return made

    return make_with_gloo


def _call_nccl(group: Any) -> None:
    """Let ``get_backend`` say the name that was asked for; None is the default group."""
    from torch.distributed import distributed_c10d as groups

    group = groups._get_default_group() if group is None else group
    entry = groups._world.pg_map.get(group)
    if entry is not None:  # None for ranks that are not members
        groups._world.pg_map[group] = (groups.Backend.NCCL, entry[1])
