"""autograd/predict-flags: (requires_grad, is_leaf, has grad_fn) of eight tensors, each key on its own."""

from tensorgrade import expect
from tensorgrade.observation import ObservedObject

from .autograd_probes import once


def flags(student):
    return student.FLAGS


@once
def table_of(submission, _):
    return submission.run(flags)


def content(observed):
    """What a subclass of dict or tuple holds; anything else as it is."""
    return observed.items if isinstance(observed, ObservedObject) else observed


def has_flags(submission, key, *wanted):
    table = content(table_of(submission))
    expect(isinstance(table, dict), "`FLAGS` (a dict is asked for)", "`FLAGS`（要求是字典）").equals(True)
    expect(key in table, f"table without the key `{key}`", f"没有键 `{key}` 的字典").equals(True)
    expect(content(table[key]), f"value of `{key}`", f"`{key}` 的值").equals(wanted)


def test_plain(submission):
    has_flags(submission, "a", False, True, False)


def test_leaf(submission):
    has_flags(submission, "w", True, True, False)


def test_product(submission):
    has_flags(submission, "w * 2", True, False, True)


def test_detached(submission):
    has_flags(submission, "(w * 2).detach()", False, True, False)


def test_clone(submission):
    has_flags(submission, "w.clone()", True, False, True)


def test_data(submission):
    has_flags(submission, "w.data", False, True, False)


def test_parameter(submission):
    has_flags(submission, "parameter", True, True, False)


def test_no_grad(submission):
    has_flags(submission, "no_grad", False, True, False)
