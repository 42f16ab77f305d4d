"""Process groups of a submission's ranks: what ``gloo`` is where no process may open a connection.

Untrusted side. `install` lets torch make `RankGroup` where it would make gloo's own group, which needs a network; all
else (`torch.distributed`, DistributedDataParallel with its reducer in C++) stays torch's own and runs on it. A group
has no threads. ``file://`` works as ever; ``tcp://`` and ``env://`` find the other ranks by a file as well.
"""

# mypy: disable-error-code="misc, override, assignment, attr-defined, call-arg, name-defined, no-untyped-call"
# torch's stubs of its process groups lack much of what there is, and have other names for parameters

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import json
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import _create_work_from_future
from torch.distributed import distributed_c10d

from .mesh import Mesh
from .observer import memory

_ADDRESS = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
_REDUCTIONS: list[tuple[Any, Callable[[Tensor, Tensor], Tensor]]] = [
    (dist.ReduceOp.SUM, torch.add),
    (dist.ReduceOp.PRODUCT, torch.mul),
    (dist.ReduceOp.MIN, torch.minimum),
    (dist.ReduceOp.MAX, torch.maximum),
    (dist.ReduceOp.BAND, torch.bitwise_and),
    (dist.ReduceOp.BOR, torch.bitwise_or),
    (dist.ReduceOp.BXOR, torch.bitwise_xor),
]


class _Place:
    """Where this process is: its connections, its number among the ranks, and the folder that they share."""

    def __init__(self) -> None:
        self.mesh = Mesh()
        self.ranks = 1
        self.folder: str | None = None
        self.meetings: dict[int, int] = {}
        self.groups = itertools.count()


_here = _Place()


def install() -> None:
    """Let ``gloo`` be `RankGroup` in this process, for good."""
    distributed_c10d.ProcessGroupGloo = RankGroup
    # torch.distributed has a function by the name of this module
    rendezvous = importlib.import_module("torch.distributed.rendezvous")
    rendezvous._create_c10d_store = _store_at


def join(rank: int, peers: Sequence[int]) -> None:
    """Become one of several ranks; `peers` are the sockets that lead to the others, in their order."""
    others = [number for number in range(len(peers) + 1) if number != rank]
    _here.mesh = Mesh(rank, {other: socket.socket(fileno=peer) for other, peer in zip(others, peers, strict=True)})
    _here.ranks = len(peers) + 1
    torch.set_num_threads(1)  # threads that the process may have had are not in its copy


@contextlib.contextmanager
def working(folder: str) -> Iterator[None]:
    """Work as a rank, with `folder` for files that the ranks share; afterwards the others wait for this one in vain."""
    Path(folder).mkdir(exist_ok=True)
    _here.folder = folder
    rank = str(_here.mesh.rank)
    os.environ.update(_ADDRESS, RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=str(_here.ranks))
    try:
        yield
    finally:
        _here.mesh.close()


def _store_at(host: str, port: int, rank: int, size: int, timeout: timedelta, *_: Any, **__: Any) -> dist.Store:
    """What stands for a store at an address: the file of the ranks that meet there for the same time."""
    if _here.folder is None:
        _here.folder = tempfile.mkdtemp()
    _here.meetings[port] = _here.meetings.get(port, 0) + 1
    store = dist.FileStore(f"{_here.folder}/port-{port}-{_here.meetings[port]}", size)
    store.set_timeout(timeout)
    return store


class RankGroup(dist.ProcessGroup):
    """A process group of ranks of one submission, with gloo's collectives for tensors of the CPU and of devices.

    Each operation is done when it returns; what it returns has been waited for. All ranks reduce in the same order, so
    that they get the same bits. Raises ``RuntimeError`` when another rank has ended, or the group's time is over.
    """

    def __init__(self, store: dist.Store, rank: int, size: int, timeout: timedelta = timedelta(minutes=30)) -> None:
        super().__init__(rank, size)
        self.options = SimpleNamespace(global_ranks_in_group=[], group_name="", _timeout=timeout)
        self._store = store
        self._own = rank
        self._timeout = timeout
        self._operations = 0
        self._name = ""
        if rank == 0:
            store.set("label", f"{_here.mesh.rank}.{next(_here.groups)}")
        self._label = store.get("label").decode()  # no two groups have the same, also not one after the other
        store.set(f"rank-{rank}", str(_here.mesh.rank))
        self._members = [int(store.get(f"rank-{other}")) for other in range(size)]

    # ------------------------------------------------------------------------------------- what torch asks for

    def getBackendName(self) -> str:  # noqa: N802 - torch's name
        """What the reducer in C++ takes it for: of one by the name of gloo it would ask which network it is on."""
        return "ranks"

    def _set_sequence_number_for_group(self) -> None:
        return None

    def _get_sequence_number_for_group(self) -> int:
        return self._operations

    def _set_group_name(self, name: str) -> None:
        self._name = name

    def _set_group_desc(self, description: str) -> None:
        return None

    @property
    def group_name(self) -> str:
        """The name by which torch finds this group."""
        return self._name

    def get_group_store(self) -> dist.Store:
        """The store through which the ranks have found each other."""
        return self._store

    def set_timeout(self, timeout: timedelta) -> None:
        """Let operations take so long."""
        self._timeout = timeout

    def _wait_for_pending_works(self) -> None:
        return None

    def shutdown(self) -> None:
        """Leave: an operation of another rank that needs this one fails."""
        for member in set(self._members) - {_here.mesh.rank}:
            with contextlib.suppress(RuntimeError):
                _here.mesh.send(member, self._tag("left"), b"", self._deadline())

    abort = shutdown

    # ------------------------------------------------------------------------------------------- collectives

    def broadcast(self, tensors: Any, opts: Any = None, *_: Any) -> dist.Work:
        """Give all ranks the tensors of one."""
        root = opts if isinstance(opts, int) else getattr(opts, "rootRank", 0)
        for tensor in _listed(tensors):
            _set(tensor, self._from(root, tensor if self._own == root else None, "broadcast"))
        return _done(tensors)

    def allreduce(self, tensors: Any, opts: Any = None, *_: Any) -> dist.Work:
        """Reduce the tensors of all ranks, for all of them."""
        for tensor in _listed(tensors):
            _set(tensor, _reduced(self._gathered(tensor, "allreduce"), opts))
        return _done(tensors)

    allreduce_coalesced = allreduce

    def reduce(self, tensors: Any, opts: Any, *_: Any) -> dist.Work:
        """Reduce the tensors of all ranks, for one of them."""
        for tensor in _listed(tensors):
            parts = self._gathered(tensor, "reduce")
            if self._own == getattr(opts, "rootRank", opts):
                _set(tensor, _reduced(parts, opts))
        return _done(tensors)

    def allgather(self, outputs: Any, inputs: Any, opts: Any = None, *_: Any) -> dist.Work:
        """Give all ranks the tensors of all."""
        for places, tensor in zip(outputs if isinstance(outputs[0], list) else [outputs], _listed(inputs), strict=True):
            for place, part in zip(places, self._gathered(tensor, "allgather"), strict=True):
                _set(place, part)
        return _done(outputs)

    def allgather_coalesced(self, outputs: Any, inputs: Any, opts: Any = None) -> dist.Work:
        """As `allgather`, for several tensors at a time."""
        for position, tensor in enumerate(inputs):
            for places, part in zip(outputs, self._gathered(tensor, "allgather_coalesced"), strict=True):
                _set(places[position], part)
        return _done(outputs)

    def all_gather_single(self, output: Tensor, tensor: Tensor, opts: Any = None, *_: Any) -> dist.Work:
        """Give all ranks the tensors of all, in one."""
        parts = self._gathered(tensor, "all_gather")
        _set(output, torch.cat([part.reshape(-1) for part in parts]).reshape(output.shape))
        return _done([output])

    _allgather_base = all_gather_single

    def gather(self, outputs: Any, inputs: Any, opts: Any = None, *_: Any) -> dist.Work:
        """Give one rank the tensors of all."""
        for position, tensor in enumerate(_listed(inputs)):
            parts = self._gathered(tensor, "gather")
            if self._own == getattr(opts, "rootRank", 0):
                for place, part in zip(outputs[position], parts, strict=True):
                    _set(place, part)
        return _done(outputs)

    def scatter(self, outputs: Any, inputs: Any, opts: Any = None, *_: Any) -> dist.Work:
        """Give each rank one of the tensors of one."""
        root = getattr(opts, "rootRank", 0)
        for position, place in enumerate(_listed(outputs)):
            parts = inputs[position] if self._own == root else [None] * self.size()
            _set(place, self._exchanged(parts, "scatter")[root])
        return _done(outputs)

    def reduce_scatter(self, outputs: Any, inputs: Any, opts: Any = None, *_: Any) -> dist.Work:
        """Give each rank its part of what is reduced."""
        for place, parts in zip(_listed(outputs), inputs if isinstance(inputs[0], list) else [inputs], strict=True):
            _set(place, _reduced(self._exchanged(parts, "reduce_scatter"), opts))
        return _done(outputs)

    def reduce_scatter_single(self, output: Tensor, tensor: Tensor, opts: Any = None, *_: Any) -> dist.Work:
        """As `reduce_scatter`, of one tensor with all parts."""
        parts = tensor.reshape(self.size(), *output.shape).unbind()
        return self.reduce_scatter([output], [list(parts)], opts)

    _reduce_scatter_base = reduce_scatter_single

    def alltoall(self, outputs: Any, inputs: Any, opts: Any = None, *_: Any) -> dist.Work:
        """Give each rank one of the tensors of each."""
        for place, part in zip(outputs, self._exchanged(inputs, "alltoall"), strict=True):
            _set(place, part)
        return _done(outputs)

    def all_to_all_single(
        self, output: Tensor, tensor: Tensor, sizes_out: Any = None, sizes_in: Any = None, opts: Any = None, *_: Any
    ) -> dist.Work:
        """As `alltoall`, of one tensor with all parts."""
        rows = tensor.shape[0] // self.size()
        parts = tensor.split(list(sizes_in) if sizes_in else [rows] * self.size())
        _set(output, torch.cat(self._exchanged(list(parts), "all_to_all")))
        return _done([output])

    alltoall_base = all_to_all_single

    def barrier(self, opts: Any = None, *_: Any, **__: Any) -> dist.Work:
        """Wait for all ranks."""
        self._gathered(torch.zeros(1), "barrier")
        return _done([])

    def monitored_barrier(self, *_: Any, **__: Any) -> None:
        """Wait for all ranks."""
        self.barrier()

    # ---------------------------------------------------------------------------------------- point to point

    def send(self, tensors: Any, peer: int, tag: int = 0) -> dist.Work:
        """Send to one rank."""
        for tensor in _listed(tensors):
            _here.mesh.send(self._members[peer], self._tag(f"to-{tag}"), _packed(tensor, "send"), self._deadline())
        return _done(tensors)

    def recv(self, tensors: Any, peer: int, tag: int = 0) -> dist.Work:
        """Receive from one rank."""
        for tensor in _listed(tensors):
            _set(tensor, self._unpacked(self._receive(self._members[peer], f"to-{tag}"), "send"))
        return _done(tensors)

    def recv_anysource(self, tensors: Any, tag: int = 0) -> dist.Work:
        """Receive from whichever rank sends."""
        (tensor,) = _listed(tensors)
        member, content = _here.mesh.receive_any(self._tag(f"to-{tag}"), self._deadline())
        _set(tensor, self._unpacked(content, "send"))
        return _FromSomebody(self._members.index(member))

    # ------------------------------------------------------------------------------------------- the messages

    def _gathered(self, tensor: Tensor, name: str) -> list[Tensor]:
        """The tensors that the ranks give, in their order."""
        return self._exchanged([tensor] * self.size(), name)

    def _from(self, root: int, tensor: Tensor | None, name: str) -> Tensor:
        given: Tensor = self._exchanged([tensor] * self.size(), name)[root]
        return given

    def _exchanged(self, tensors: Sequence[Tensor | None], name: str) -> list[Any]:
        """Give each rank its tensor of `tensors`; returns what they gave to this one, in their order."""
        self._operations += 1
        label = f"all-{self._operations}"
        for member, tensor in zip(self._members, tensors, strict=True):
            _here.mesh.send(member, self._tag(label), _packed(tensor, name), self._deadline())
        return [self._unpacked(self._receive(member, label), name) for member in self._members]

    def _receive(self, member: int, label: str) -> bytes:
        return _here.mesh.receive(member, self._tag(label), self._deadline(), unless=self._tag("left"))

    def _unpacked(self, content: bytes, name: str) -> Any:
        head, _, data = content.partition(b"\n")
        given, dtype, shape = json.loads(head)
        if given != name:
            raise RuntimeError(f"the ranks do different things at the same time: {given} and {name}")
        if dtype is None:
            return None
        kind = getattr(torch, dtype)
        return torch.frombuffer(bytearray(data), dtype=kind).reshape(shape) if data else torch.empty(shape, dtype=kind)

    def _tag(self, label: str) -> bytes:
        return f"{self._label}/{label}".encode()

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout.total_seconds()


def _listed(tensors: Any) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _packed(tensor: Tensor | None, name: str) -> bytes:
    if tensor is None:
        return json.dumps([name, None, None]).encode() + b"\n"
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    head = json.dumps([name, str(plain.dtype).removeprefix("torch."), list(plain.shape)])
    return head.encode() + b"\n" + memory(plain.data_ptr(), plain.nbytes)


def _set(place: Tensor, value: Tensor) -> None:
    if value.dtype is not place.dtype or value.numel() != place.numel():
        raise RuntimeError(f"a rank gave {value.dtype} {tuple(value.shape)} for {place.dtype} {tuple(place.shape)}")
    with torch.no_grad():
        place.detach().copy_(value.reshape(place.shape))


def _reduced(parts: Sequence[Tensor], opts: Any) -> Tensor:
    wanted = dist.ReduceOp.SUM if opts is None else getattr(opts, "reduceOp", opts)
    reduce = next((function for op, function in _REDUCTIONS if wanted == op), None)
    if reduce is None:
        raise RuntimeError("Cannot use this reduction with Gloo")
    return functools.reduce(reduce, parts)


def _done(result: Any) -> dist.Work:
    future: torch.futures.Future[Any] = torch.futures.Future()
    future.set_result(result)
    work: dist.Work = _create_work_from_future(future)
    return work


class _FromSomebody(dist.Work):
    """A message that came from a rank that was not known before."""

    def __init__(self, source: int) -> None:
        super().__init__()
        self._source = source

    def wait(self, timeout: timedelta = timedelta()) -> bool:
        """It has come."""
        return True

    def _source_rank(self) -> int:
        return self._source
