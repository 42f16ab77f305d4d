"""Specification of the trusted side against answers that lie: generated ones first, then those of real processes."""

import copy
import os
import time
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tensorgrade.attempt import Journal
from tensorgrade.codec import MAX_PAYLOAD, FrameReader, encode
from tensorgrade.errors import GraderError, ProtocolError, SubmissionFailure
from tensorgrade.expectation import expect
from tensorgrade.findings import Mismatch
from tensorgrade.grading import judge
from tensorgrade.limits import DEFAULTS
from tensorgrade.observation import DTYPES, ObservedModule, ObservedObject, ObservedTensor, read
from tensorgrade.observer import Observer
from tensorgrade.submission import Submission

HERE = Path(__file__).parent
TIMES = int(os.environ.get("TENSORGRADE_FUZZ", "0"))


def fuzz(examples):
    """Settings for so many examples; see test_codec_fuzz."""
    return settings(
        max_examples=examples * max(TIMES, 1),
        derandomize=not TIMES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# --------------------------------------------------------------------------------- well-formed, with false content

INTEGERS = st.sampled_from([-(1 << 63), -1, 0, 1, 2, 3, 4, 1 << 31, 1 << 40, 1 << 61, 1 << 62, 1 << 63, 10**1000])
NAMES = st.sampled_from(
    [
        *[
            "",
            ".",
            "a.b.c",
            "int",
            "builtins.int",
            "torch.",
            "torch.Tensor",
            "torch.nn.Linear",
            "<b>markup</b>",
            "\x00",
        ],
        *[
            "tensorgrade.observation.ObservedTensor",
            "N" * 1000,
            "对角线",
            "quint8",
            "float",
            "Tensor",
            "layout",
            *DTYPES,
        ],
        *["cpu", "cuda:1", "cuda:-1", "cuda:999", "cuda:99999999999999999999", "meta", "privateuseone:0"],
    ]
)
ODDITIES = (
    st.none() | st.booleans() | INTEGERS | st.floats() | NAMES | st.binary(max_size=40) | st.just([]) | st.just({})
)
SIZES = st.lists(INTEGERS | st.sampled_from([2, 2, 2]), max_size=4) | st.just([1] * 64) | st.just([2] * 10_000)
HONEST = {
    "values": torch.eye(2).numpy().tobytes(),
    "unread": None,
    "shape": [2, 2],
    "dtype": "float32",
    "stride": [2, 1],
    "offset": 0,
    "device": "cpu",
    "requires_grad": False,
    "is_leaf": True,
    "grad_fn": None,
    "grad": None,
    "version": 0,
    "storage": 0,
    "identity": 0,
    "type_name": "torch.Tensor",
}


def tensor(**changes):
    """The description of a tensor: its facts in this order."""
    return ["tensor", *{**HONEST, **changes}.values()]


FALSE = {
    "values": st.none() | st.binary(max_size=20) | st.sampled_from([0, 1, 4, 15, 16, 17, 32]).map(bytes),
    "unread": NAMES | st.none(),
    "shape": SIZES,
    "dtype": NAMES,
    "stride": SIZES,
    "offset": INTEGERS,
    "device": NAMES,
    "requires_grad": st.booleans(),
    "is_leaf": st.booleans(),
    "grad_fn": NAMES | st.none(),
    "version": INTEGERS,
    "storage": INTEGERS,
    "identity": INTEGERS,
    "type_name": NAMES,
}


@st.composite
def false_tensors(draw, grad=None):
    """The description of a tensor of which some facts are false, missing, of a wrong type, or too many."""
    facts = dict(HONEST)
    for name in draw(st.sets(st.sampled_from(sorted(FALSE)), max_size=4)):
        facts[name] = draw(FALSE[name] if draw(st.integers(0, 4)) else ODDITIES)
    facts["grad"] = None if grad is None else draw(grad)
    if not draw(st.integers(0, 9)):
        del facts[draw(st.sampled_from(sorted(facts)))]
    if not draw(st.integers(0, 9)):
        facts["__class__"] = draw(ODDITIES)
    return ["tensor", *facts.values()]


def _values(values):
    tables = st.dictionaries(NAMES, values, max_size=2)
    several = st.lists(values, max_size=3) | ODDITIES
    pairs = st.lists(st.tuples(values, values).map(list) | ODDITIES, max_size=3) | ODDITIES
    modules = st.tuples(st.just("module"), NAMES, INTEGERS, tables | ODDITIES, tables | ODDITIES, tables | ODDITIES)
    objects = st.tuples(st.just("object"), NAMES | ODDITIES, INTEGERS, values | ODDITIES)
    containers = st.tuples(st.sampled_from(["list", "tuple"]), several) | st.tuples(st.just("dict"), pairs)
    return (containers | modules | objects).map(list) | false_tensors(values)


PLAIN_KINDS = st.sampled_from(["bool", "int", "float", "str", "bytes", "dtype", "device", "complex", "nothing"])
DESCRIPTIONS = st.recursive(
    st.none()
    | false_tensors()
    | st.tuples(PLAIN_KINDS, ODDITIES).map(list)
    | st.tuples(st.just("complex"), ODDITIES, ODDITIES).map(list),
    _values,
    max_leaves=8,
)


def over_the_wire(message):
    reader = FrameReader()
    reader.feed(encode(message))
    return reader.pop()


def checks(observed):
    """What graders ask of a value; each passes or is a Mismatch."""
    other = read(tensor())
    yield from (
        lambda: expect(observed).is_tensor(),
        lambda: expect(observed).equals(torch.eye(2)),
        lambda: expect(observed).close_to(torch.eye(2), terms=9),
        lambda: expect(observed).equals([torch.eye(2), {"a": (1, 2.0)}]),
        lambda: expect(observed).equals({"a": 1, (1, 2): 2}),
        lambda: expect(observed).close_to(1.5),
        lambda: expect(observed).equals(torch.float32),
        lambda: expect(observed).equals("text"),
        lambda: expect(observed).has_shape(2, 2),
        lambda: expect(observed).has_dtype(torch.float32),
        lambda: expect(observed).on_device("cpu"),
        lambda: expect(observed).requires_grad(),
        lambda: expect(observed).is_leaf(),
        lambda: expect(observed).shares_storage_with(other),
        lambda: expect(observed).is_same_object_as(other),
    )


def passes(check):
    try:
        check()
    except Mismatch:
        return False
    return True


def is_sound(observed):
    """Whether nothing but our own kinds of values came out of a description."""
    if isinstance(observed, ObservedTensor):
        values = observed.values
        whole = values is None or (tuple(values.shape), values.dtype) == (observed.shape, observed.dtype)
        return whole and (values is None or values.is_contiguous()) and is_sound(observed.grad)
    if isinstance(observed, ObservedModule):
        return all(isinstance(item, ObservedTensor) for item in observed.parameters.values())
    if isinstance(observed, ObservedObject):
        return is_sound(observed.items)
    if isinstance(observed, dict):
        return all(map(is_sound, observed)) and all(map(is_sound, observed.values()))
    if isinstance(observed, (list, tuple)):
        return all(map(is_sound, observed))
    plain = (bool, int, float, complex, str, bytes, torch.dtype, torch.device)
    return observed is None or type(observed) in plain


@given(description=DESCRIPTIONS)
@fuzz(300)
def test_a_false_description_is_an_observation_or_a_protocol_error(description):
    """Whatever is claimed gives sound values or ProtocolError, and every check of it passes or is a Mismatch."""
    try:
        observed = read(over_the_wire({"value": description})["value"])
    except ProtocolError:
        return
    assert is_sound(observed)
    for check in checks(observed):
        passes(check)


@given(description=false_tensors())
@fuzz(300)
def test_no_lie_makes_values_right(description):
    """What equals torch.eye(2) has sent its sixteen bytes (or as many of another dtype), whatever else it claims."""
    try:
        observed = read(over_the_wire({"value": description})["value"])
    except ProtocolError:
        return
    if passes(lambda: expect(observed).equals(torch.eye(2))):
        facts = dict(zip(HONEST, description[1:], strict=True))
        sent = torch.frombuffer(bytearray(facts["values"]), dtype=getattr(torch, facts["dtype"]))
        assert sent.tolist() == [1, 0, 0, 1]
        assert facts["shape"] == [2, 2]


@pytest.mark.parametrize(
    "values", [None, torch.empty(2, 2, device="meta"), torch.eye(2).to_sparse()], ids=["none", "meta", "sparse"]
)
def test_a_tensor_without_values_is_no_tensor(values):
    """`is_tensor` asks for ordinary values, as every check of values does."""
    observed = read(Observer().describe(values))
    assert not passes(lambda: expect(observed).is_tensor())
    assert not passes(lambda: expect(observed).equals(torch.eye(2)))


def test_a_large_unsigned_number_is_not_a_negative_one():
    """Values of uint64 beyond int64 equal themselves alone."""
    largest = torch.tensor([2**64 - 1], dtype=torch.uint64)
    observed = read(Observer().describe(largest))
    assert passes(lambda: expect(observed).equals(largest))
    assert not passes(lambda: expect(observed).equals(torch.tensor([-1])))


# -------------------------------------------------------------------------------------------- whole answers


CELLS = ("first", "", "\n  \nimport torch\n  second\n", "\n", "x" * 1000)


class Liar:
    """A machine that answers every request with the same message."""

    allowance = DEFAULTS

    def __init__(self, answer):
        self._answer = over_the_wire(answer)

    def request(self, message):
        """Lie."""
        return copy.deepcopy(self._answer)

    def discard(self):
        """Go on lying."""

    def with_accelerators(self, count):
        """Lie elsewhere."""
        return self


PLACES = st.lists(st.lists(INTEGERS | ODDITIES, max_size=3) | ODDITIES, max_size=9) | ODDITIES
TYPES = st.lists(NAMES | ODDITIES, max_size=3) | ODDITIES
ERRORS = (
    st.fixed_dictionaries({}, optional={"types": TYPES, "text": NAMES | ODDITIES, "trace": PLACES})
    | st.fixed_dictionaries({"types": st.just(["ValueError"]), "text": NAMES, "trace": PLACES})
    | ODDITIES
)
HONEST_ARGUMENTS = st.just(["list", [tensor(shape=[1], stride=[1], values=bytes(4))]])
ANSWERS = st.fixed_dictionaries(
    {"arguments": HONEST_ARGUMENTS | DESCRIPTIONS | ODDITIES, "keywords": st.just(["dict", []]) | DESCRIPTIONS},
    optional={
        "value": DESCRIPTIONS | ODDITIES,
        "error": ERRORS,
        "instructions": ODDITIES,
        "operations": st.lists(ODDITIES, max_size=3) | ODDITIES,
        "undefined": ODDITIES,
        "interrupted": ODDITIES,
    },
)


def uses(submission):
    """What a grader does with a submission."""
    argument = torch.zeros(1)
    yield lambda: expect(submission.call("f", argument)).equals(torch.eye(2))
    yield lambda: expect(submission.attempt("f", argument)).leaves_arguments()
    yield lambda: expect(submission.attempt("f", argument)).raises(ValueError)
    yield lambda: expect(submission.run(lambda student: student.f(1))).equals([1])
    yield lambda: expect(submission.vectorised("f", (argument,), (argument,), (argument,))).equals(torch.eye(2))


@given(answer=ANSWERS)
@fuzz(100)
def test_a_false_answer_passes_mismatches_or_fails(answer):
    """Calls, attempts, probes and measured calls end in a pass, a Mismatch or a SubmissionFailure; nothing else."""
    journal = Journal()
    for use in uses(Submission(Liar(answer), HERE, cells=CELLS, journal=journal)):
        try:
            use()
        except Mismatch as mismatch:
            for line in journal.explain(mismatch).trace:
                assert line.source in CELLS[line.cell - 1]
        except SubmissionFailure:
            continue


@pytest.mark.parametrize(
    ("claimed", "told"),
    [
        ([[1, 1], [3, 2]], [(1, 1, "first"), (3, 4, "  second")]),  # the empty lines before a cell are not counted
        ([[0, 1], [-1, 1], [9, 1], [1, 0], [1, -3], [1, 2], [1, 1 << 62], [3, 10**9]], []),
        ([[2, 1], [4, 1]], []),
        ([[1, 1]] * 1000, [(1, 1, "first")] * 4),
        ([[5, 1]], [(5, 1, "x" * 300)]),
    ],
)
def test_lines_are_those_of_the_cells_as_handed_in(claimed, told):
    """Of the places that an answer claims, those that exist are looked up, a few of them; nothing else is shown."""
    error = {"types": ["ValueError"], "text": "", "trace": claimed}
    submission = Submission(Liar(honest_answer(error=error)), HERE, cells=CELLS)
    trace = submission.attempt("f", torch.zeros(1)).error.trace
    assert [(line.cell, line.line, line.source) for line in trace] == told


@pytest.mark.parametrize("claimed", [None, 1, [[1]], [[1, 1, 1]], [[1, True]], [["1", 1]], [1], ["ab"], {"1": 1}])
def test_malformed_places_are_refused(claimed):
    """What is no list of pairs of numbers is no answer."""
    error = {"types": ["ValueError"], "text": "", "trace": claimed}
    with pytest.raises(ProtocolError):
        Submission(Liar(honest_answer(error=error)), HERE, cells=CELLS).attempt("f", torch.zeros(1))


def honest_answer(**changes):
    arguments = Observer().describe([torch.zeros(1)])
    return {"value": tensor(), "arguments": arguments, "keywords": ["dict", []], **changes}


def test_an_answer_with_neither_a_value_nor_an_error_is_refused():
    """What was not sent is not None."""
    answer = honest_answer()
    del answer["value"]
    submission = Submission(Liar(answer), HERE)
    with pytest.raises(ProtocolError):
        submission.call("f", torch.zeros(1))
    with pytest.raises(ProtocolError):
        submission.run(lambda student: None)


def test_too_large_arguments_are_the_graders_error():
    """What cannot be sent is never the student's fault."""
    with pytest.raises(GraderError, match="more than"):
        Submission(Liar({}), HERE).call("f", torch.zeros(MAX_PAYLOAD // 4 + 1))


def test_keys_of_arguments_are_compared_by_content():
    """A dictionary with tensors for keys is unchanged when its keys and values are."""
    argument = {torch.zeros(1): 1, (torch.ones(1), 2): 3}
    one, two = Observer(), Observer()
    two.describe(torch.ones(5))  # other identities than before the call
    for keys, changed in ((argument, False), ({torch.ones(1): 1, (torch.ones(1), 2): 3}, True)):
        answer = {"value": None, "arguments": two.describe([keys]), "keywords": one.describe({})}
        attempt = Submission(Liar(answer), HERE).attempt("f", argument)
        assert passes(lambda attempt=attempt: expect(attempt).leaves_arguments()) is not changed


def test_an_error_is_cut():
    """Names and messages of exceptions have the length of such, and there are not many."""
    error = {"types": ["ValueError", *["N" * 1_000_000] * 3, *["x"] * 100_000], "text": "t" * 1_000_000}
    submission = Submission(Liar(honest_answer(error=error)), HERE)
    got = submission.attempt("f", torch.zeros(1)).error
    assert sum(map(len, [*got.types, got.text])) < 10_000
    assert got.types[0] == "ValueError"


def test_keys_with_the_same_hash_are_few():
    """A dictionary of keys that were chosen to have one hash, which would take minutes to build, is refused."""
    same = (1 << 61) - 1  # hash() is taken modulo this
    pairs = [[["int", n * same], None] for n in range(60_000)]
    start = time.process_time()
    with pytest.raises(ProtocolError, match="hash"):
        read(["dict", pairs])
    assert time.process_time() - start < 5


HEAVY = {
    "tensors": lambda: ["list", [tensor(values=b"", shape=[0])] * 65_000],
    "tensors without values": lambda: ["list", [tensor(values=None, unread="", shape=[], stride=[])] * 80_000],
    "many dimensions": lambda: tensor(shape=[1] * 1_000_000),
    "many strides": lambda: tensor(stride=[1] * 1_000_000),
    "giant": lambda: tensor(values=None, unread="", shape=[1 << 40], stride=[0]),
    "bytes": lambda: tensor(values=bytes(60 << 20), shape=[15 << 20], stride=[1]),
    "name": lambda: ["object", "N" * 7_000_000, 0, None],
    "integers": lambda: ["list", [["int", 7]] * 150_000],
}


@pytest.mark.parametrize("heavy", HEAVY.values(), ids=HEAVY)
def test_a_heavy_answer_takes_bounded_memory(heavy):
    """The largest answers are judged in memory of the order of a frame."""
    message = over_the_wire({"value": heavy()})
    tracemalloc.start()
    try:
        observed = read(message["value"])
    except ProtocolError:
        observed = None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 << 20
    for check in checks(observed):
        passes(check)


JUDGED = {
    "right": (honest_answer(), "passed"),
    "shape": (honest_answer(value=tensor(shape=[4])), "failed"),
    "bytes": (honest_answer(value=tensor(values=bytes(16))), "failed"),
    "stride": (honest_answer(value=tensor(values=bytes(4), stride=[0, 0])), "failed"),
    "no values": (honest_answer(value=tensor(values=None, unread="meta")), "failed"),
    "name": (honest_answer(value=["object", "torch.Tensor" + "<b>" * 300_000, 0, None]), "failed"),
    "error": (honest_answer(error={"types": ["<b>" * 100_000], "text": "x" * 1_000_000}), "failed"),
    "kind": (honest_answer(value=["eye", 2]), "failed"),
}


@pytest.mark.parametrize(("lie", "status"), JUDGED.values(), ids=JUDGED)
def test_a_lie_costs_the_clause_and_is_no_fault_of_the_grader(make_course, exercise_text, lie, status):
    """The verdict on a lie is a failed clause with a reason, and nothing is flagged."""
    grader = "def test_values(submission): expect(submission.call('f', torch.zeros(1))).equals(torch.eye(2))"
    course = make_course({"task": (exercise_text("values"), grader)})
    exercise, file = course.load("demo").exercise("task"), course.grader_file("demo", "task")
    verdict = judge(exercise, file, Liar(lie), "en")
    (clause,) = verdict.clauses
    assert (str(clause.status), verdict.flagged) == (status, None)
    assert (clause.finding is None) == (status == "passed")
    assert len(verdict.to_html()) < 5000
    assert "<b>" not in verdict.to_html()


# ------------------------------------------------------------------------------------------ real processes

WRONG = {
    "meta": "def answer(n): return torch.empty(n, n, device='meta')",
    "sparse": "def answer(n): return torch.eye(n).to_sparse()",
    "sparse rows": "def answer(n): return torch.eye(n).to_sparse_csr()",
    "quantised": "def answer(n): return torch.quantize_per_tensor(torch.eye(n), 0.1, 0, torch.quint8)",
    "nested": "def answer(n): return torch.nested.nested_tensor([torch.eye(n), torch.eye(n)])",
    "giant": "def answer(n): return torch.empty(1).expand(2**40)",
    "giant square": "def answer(n): return torch.ones(1).expand(2**31, 2**31)",
    "stride 0": "def answer(n): return torch.ones(1).expand(n, n)",
    "conjugate": "def answer(n): return (torch.eye(n) * (1 + 1j)).conj()",
    "no storage": "def answer(n):\n    x = torch.eye(n)\n    x.untyped_storage().resize_(0)\n    return x",
    "torch function": (
        "class T(torch.Tensor):\n"
        "    @classmethod\n"
        "    def __torch_function__(cls, *a, **k): return torch.eye(2)\n"
        "def answer(n): return torch.ones(n, n).as_subclass(T)"
    ),
    "torch dispatch": (
        "class T(torch.Tensor):\n"
        "    @classmethod\n"
        "    def __torch_dispatch__(cls, *a, **k): return torch.eye(2)\n"
        "def answer(n): return torch.Tensor._make_wrapper_subclass(T, (n, n))"
    ),
    "properties": (
        "class T(torch.Tensor):\n"
        "    shape = property(lambda self: (2, 2))\n"
        "    detach = contiguous = lambda self: torch.eye(2)\n"
        "def answer(n): return torch.ones(4).as_subclass(T)"
    ),
    "metaclass": (
        "class M(type):\n"
        "    def __instancecheck__(cls, x): return True\n"
        "    def __eq__(cls, other): return True\n"
        "    def __hash__(cls): return hash(torch.Tensor)\n"
        "class T(metaclass=M): pass\n"
        "def answer(n): return T()"
    ),
    "metaclass of int": (
        "class M(type):\n"
        "    def __eq__(cls, other): return True\n"
        "    def __hash__(cls): return hash(int)\n"
        "class T(metaclass=M):\n"
        "    def bit_length(self): return 1\n"
        "def answer(n): return T()"
    ),
    "__class__": "class T:\n    __class__ = property(lambda self: torch.Tensor)\ndef answer(n): return T()",
    "__eq__": "class T:\n    def __eq__(self, other): return True\n    __hash__ = None\ndef answer(n): return T()",
    "int": "class T(int):\n    def __eq__(self, other): return True\n    __hash__ = None\ndef answer(n): return T(1)",
    "float": "class T(float):\n    def __float__(self): return 1.0\n    __repr__ = None\ndef answer(n): return T(1)",
    "index": "class T:\n    def __index__(self): os._exit(0)\n    __int__ = __index__\ndef answer(n): return T()",
    "str": "class T(str):\n    def __eq__(self, other): return True\n    __hash__ = None\ndef answer(n): return T('x')",
    "dict": "class T(dict):\n    def items(self): return [('a', torch.eye(2))]\ndef answer(n): return T(a=1)",
    "list": (
        "class T(list):\n    def __iter__(self):\n        while True: yield torch.eye(2)\ndef answer(n): return T([1])"
    ),
    "generator": "def answer(n): yield torch.eye(n)",
    "endless generator": "def answer(n): return (torch.eye(n) for _ in iter(int, 1))",
    "list in itself": "def answer(n):\n    x = []\n    x += [x, x]\n    return x",
    "dict in itself": "def answer(n):\n    x = {}\n    x['x'] = x\n    return x",
    "grads in a circle": (
        "def answer(n):\n"
        "    a, b = torch.ones(n, n, requires_grad=True), torch.ones(n, n, requires_grad=True)\n"
        "    a.grad, b.grad = b, a\n"
        "    return a"
    ),
    "deep": "def answer(n):\n    x = []\n    for _ in range(100_000): x = [x]\n    return x",
    "long": "def answer(n): return [0] * 10_000_000",
    "large": "def answer(n): return torch.zeros(25_000_000)",
    "long name": "def answer(n): return type('N' * 10_000_000, (), {})()",
    "reduce": "class T:\n    def __reduce__(self): return os._exit, (0,)\ndef answer(n): return T()",
    "repr": "class T:\n    def __repr__(self): os._exit(0)\n    __str__ = __repr__\ndef answer(n): return T()",
    "error": "class E(Exception):\n    def __str__(self): os._exit(0)\ndef answer(n): raise E",
    "error of ours": "from tensorgrade.findings import Mismatch\ndef answer(n): raise Mismatch(None)",
    "class of ours": (
        "from tensorgrade.observation import ObservedTensor\ndef answer(n): return object.__new__(ObservedTensor)"
    ),
    "first call only": "calls = []\ndef answer(n):\n    calls.append(n)\n    return torch.eye(n) * (len(calls) == 1)",
    "argument": "def answer(n):\n    import gc\n    [x.fill_(1) for x in gc.get_objects() if type(x) is torch.Tensor]",
    "Tensor.shape": "torch.Tensor.shape = property(lambda self: (2, 2))\ndef answer(n): return torch.ones(4)",
    "torch.equal": (
        "torch.equal = torch.allclose = torch.testing.assert_close = lambda *a, **k: True\n"
        "def answer(n): return torch.ones(n, n)"
    ),
    "builtins": (
        "import builtins\n"
        "def answer(n):\n"
        "    builtins.isinstance = builtins.issubclass = lambda *a: True\n"
        "    builtins.len = lambda x: 2\n"
        "    return torch.ones(n, n)"
    ),
    "type": "import builtins\ndef answer(n):\n    builtins.type = lambda x: torch.Tensor\n    return [1]",
    "pytest": "import sys\nsys.modules['pytest'] = None\ndef answer(n): return torch.ones(n, n)",
}

FORGED = {
    "Observer": (
        "from tensorgrade.observer import Observer\n"
        "Observer.describe = lambda self, value: ['tensor', {'values': b'', 'shape': [2, 2], 'dtype': 'float32'}]\n"
        "def answer(n): return 1"
    ),
    "Observer of shapes": (
        "from tensorgrade.observer import Observer\n"
        "honest = Observer._tensor\n"
        "def lie(self, value):\n"
        "    kind, facts = honest(self, value)\n"
        "    return [kind, {**facts, 'shape': [2, 2], 'stride': [0, 0]}]\n"
        "Observer._tensor = lie\n"
        "def answer(n): return torch.ones(1)"
    ),
    "Observer of verdicts": (
        "from tensorgrade.observer import Observer\n"
        "Observer.describe = lambda self, value: ['object', 'passed', 0, ['bool', True]]\n"
        "def answer(n): return 1"
    ),
    "answers": (
        "from tensorgrade import process\n"
        "process._call = lambda shell, request: {'passed': True, 'score': 1, 'value': ['bool', True]}\n"
        "def answer(n): return 1"
    ),
    "encode": (
        "from tensorgrade import process\nprocess.encode = lambda message: b'passed' * 100\ndef answer(n): return 1"
    ),
}

GRADER = """
def test_values(submission):
    for n in (2, 3):
        expect(submission.call("answer", n)).equals(torch.eye(n))
"""
OTHER = "def test_values(submission): expect(submission.call('other')).equals(torch.eye(2))"


@pytest.fixture
def verdicts_after(make_course, exercise_text, run_notebook):
    """The verdicts on a wrong answer and on the right one that is judged behind it."""

    def verdicts(code):
        text = exercise_text("values")
        course = make_course({"task": (text, GRADER), "other": (text, OTHER)})
        cells = ("import os, torch\ndef other(): return torch.eye(2)", code, "judge:task", "judge:other")
        got = run_notebook(course, *cells).verdicts
        assert (got["task"].flagged, got["other"].flagged) == (None, None)
        return got["task"].clauses[0], got["other"].clauses[0]

    return verdicts


@pytest.mark.parametrize("code", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_fails_for_a_reason(verdicts_after, code):
    """No value, class or change to torch, Python or pytest earns a clause, and the next exercise is judged."""
    wrong, right = verdicts_after(code)
    assert str(wrong.status) == "failed"
    assert wrong.finding
    assert str(right.status) == "passed"


@pytest.mark.parametrize("code", FORGED.values(), ids=FORGED)
def test_a_forgery_fails_for_a_reason(verdicts_after, code):
    """Who changes this package in the own process to send other answers earns nothing by it."""
    wrong, right = verdicts_after(code)
    assert str(wrong.status) == "failed"
    assert wrong.finding
    assert str(right.status) == "passed" or right.finding
