"""The loop of a submission process: runs cells, answers calls and probes, forks snapshots of itself.

Untrusted side: it shares its interpreter with the student's code, which may change anything here. The trusted side
(`tensorgrade.supervisor`) therefore believes nothing but the form of the answers.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from typing import Any, cast

from . import ranks, sandbox, work
from .codec import FrameReader, Message, Plain, encode
from .errors import TOO_LARGE, ProtocolError
from .footprint import Footprint
from .namespaces import die_with_parent
from .observer import Observer, trace_of, type_name
from .parcel import unpack
from .resources import MemoryInUse
from .shell import Shell

_TEXT = 2000


class Answers:
    """The student's namespace, as probes see it: ``student.identity`` is what the notebook calls ``identity``."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace

    def __getattr__(self, name: str) -> Any:
        try:
            return self._namespace[name]
        except KeyError:
            raise UndefinedName(name) from None


class UndefinedName(AttributeError):
    """A name that the exercise asks for and the notebook does not define."""


class _Ended(Exception):
    """The other side closed the socket."""


def serve(control: socket.socket, shell: Shell, settled: sandbox.Settled) -> None:
    """Answer requests until the other side closes the socket."""
    snapshots: list[int] = []
    while True:
        try:
            request = _receive(control)
            if request["do"] == "snapshot":
                control = _snapshot(control, snapshots, request, shell, settled)
            else:
                _reply(control, request, _answer(shell, request))
        except _Ended:
            return
        except KeyboardInterrupt:  # a time-out's interrupt that came between two requests
            continue


def _receive(control: socket.socket) -> Message:
    frames = FrameReader()
    while missing := frames.missing():
        data = control.recv(min(missing, 1 << 20))
        if not data:
            raise _Ended
        frames.feed(data)
    return cast("Message", frames.pop())


def _reply(control: socket.socket, request: Message, answer: Message) -> None:
    try:
        frame = encode({**answer, "id": request["id"]})
    except ProtocolError as error:
        frame = encode({"error": {"types": [TOO_LARGE], "text": str(error)}, "id": request["id"]})
    control.sendall(frame)


def _snapshot(
    control: socket.socket, snapshots: list[int], request: Message, shell: Shell, settled: sandbox.Settled
) -> socket.socket:
    """Fork; the parent answers on `control` and keeps it, the snapshot goes on with the socket that came along.

    A rank gets further sockets, which lead to the other ranks.
    """
    count = cast("int", request.get("ranks", 1))
    _, (descriptor, *peers), _, _ = socket.recv_fds(control, 1, count)
    snapshots[:] = [pid for pid in snapshots if os.waitpid(pid, os.WNOHANG) == (0, 0)]
    in_use = MemoryInUse.now()
    child = os.fork()
    if child:
        for given in (descriptor, *peers):
            os.close(given)
        snapshots.append(child)
        _reply(control, request, {})
        return control
    die_with_parent()
    gc.freeze()  # else each collection would look through what the cells have made, and copy its pages
    control.close()
    sandbox.narrow(settled, sandbox.Narrowed(**cast("dict[str, Any]", request["narrowed"])), in_use)
    snapshots.clear()
    _marked.clear()
    shell.after_fork()
    null = os.open(os.devnull, os.O_WRONLY)  # what the graders' calls print is nobody's output
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)
    if "rank" in request:
        ranks.join(cast("int", request["rank"]), peers)
    own = socket.socket(fileno=descriptor)
    _reply(own, request, {})
    return own


def _answer(shell: Shell, request: Message) -> Message:
    handlers: dict[str, Callable[[Shell, Any], Message]] = {
        "ready": lambda shell, request: {},
        "accelerators": _accelerators,
        "footprint": _footprint,
        "cell": _cell,
        "call": _call,
        "calls": _calls,
        "probe": _probe,
        "rank": _rank,
    }
    try:
        return handlers[cast("str", request["do"])](shell, request)
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt are answers too
        return {"error": _describe_error(error, shell)}


def _accelerators(shell: Shell, request: Any) -> Message:
    """Give this process accelerators, before it runs anything that could look for them."""
    if request["real"]:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(request["count"])))
        return {}
    from . import virtual_cuda  # here, because most notebooks do without

    os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # with which the zygote hides real ones; it would hide these as well
    virtual_cuda.enable(devices=request["count"])
    return {}


_marked: list[Footprint] = []
"""What there was in this process when it was asked first."""


def _footprint(shell: Shell, request: Any) -> Message:
    """Whether there is in this process what was there when it was asked first, as far as that can be told."""
    now = Footprint(shell.namespace, shell.own_names)
    if not _marked:
        _marked.append(now)
    return {"same": now == _marked[0]}


def _cell(shell: Shell, request: Any) -> Message:
    result = shell.run_cell(request["source"], output_limit=request["output_limit"], number=request.get("number", 0))
    return {"outputs": cast("Plain", result.outputs), "ok": result.ok, "execution_count": result.execution_count}


def _calls(shell: Shell, request: Any) -> Message:
    return {"answers": [_call(shell, {**request, "parcel": parcel}) for parcel in request["parcels"]]}


def _call(shell: Shell, request: Any) -> Message:
    function = getattr(Answers(shell.namespace), request["name"])
    arguments, keywords = unpack(request["parcel"])
    observer = Observer()
    measured: Message = {}
    try:
        if request["measure"]:
            value, measured = work.measure(function, *arguments, **keywords)
        else:
            value = function(*arguments, **keywords)
        answer: Message = {"value": observer.describe(value)}
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt are answers too
        answer = {"error": _describe_error(error, shell)}
    answer["arguments"] = observer.describe(list(arguments))
    answer["keywords"] = observer.describe(dict(keywords))
    return {**answer, **measured}


def _probe(shell: Shell, request: Any) -> Message:
    probe, arguments, keywords = unpack(request["parcel"])
    return {"value": Observer().describe(probe(Answers(shell.namespace), *arguments, **keywords))}


def _rank(shell: Shell, request: Any) -> Message:
    """Answer a call or a probe as one of several ranks, and hang up."""
    with ranks.working(request["folder"]):
        return _answer(shell, request["request"])


def _describe_error(error: BaseException, shell: Shell) -> Message:
    try:
        text = str(error)[:_TEXT]
    except BaseException:  # noqa: BLE001 - a student's __str__ may raise anything
        text = ""
    return {
        "types": [type_name(kind) for kind in type(error).__mro__ if kind is not object],
        "text": text,
        "trace": trace_of(error, shell.cell_of),
        "undefined": error.args[0] if type(error) is UndefinedName else None,
    }
