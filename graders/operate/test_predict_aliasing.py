"""operate/predict-aliasing: which expressions share storage with a contiguous matrix, each key for itself."""

import torch

from tensorgrade import expect
from tensorgrade.observation import ObservedObject

from .misconceptions import explain


def answers(student):
    return student.SHARES


def judge(submission, key, expression, english, chinese):
    """Compare the answer for `key` with what `expression` does, and say what is the case where they differ."""
    observed = submission.run(answers)
    shares = observed.items if isinstance(observed, ObservedObject) else observed
    if not isinstance(shares, dict):
        expect(observed, "`SHARES`", "`SHARES` ").equals({})
    given = shares.get(key)
    expect(given, f"answer for `{key}`", f"`{key}` 的答案").equals(given is True)
    x = torch.arange(12.0).view(3, 4)
    if given is not (expression(x).untyped_storage().data_ptr() == x.untyped_storage().data_ptr()):
        explain(english, chinese)


def test_row(submission):
    english = "A single number as index gives a view: the row is still in the memory of x."
    chinese = "用单个数字作索引得到视图：这一行仍在 x 的内存里。"
    judge(submission, "x[0]", lambda x: x[0], english, chinese)


def test_row_by_list(submission):
    english = "A list (or tensor) of indices copies the rows that it picks."
    chinese = "用列表（或张量）作索引时，选出的行会被复制。"
    judge(submission, "x[[0]]", lambda x: x[[0]], english, chinese)


def test_mask(submission):
    english = "A mask picks elements at any places; they are copied."
    chinese = "掩码可以选出任意位置的元素，它们会被复制。"
    judge(submission, "x[x > 5]", lambda x: x[x > 5], english, chinese)


def test_column(submission):
    english = "A column is a view: only its stride differs from that of a row."
    chinese = "一列也是视图：它与行的区别只在于步长。"
    judge(submission, "x[:, 1]", lambda x: x[:, 1], english, chinese)


def test_view(submission):
    english = "`view` never copies: it gives a view or raises an error."
    chinese = "`view` 从不复制：要么得到视图，要么报错。"
    judge(submission, "x.view(-1)", lambda x: x.view(-1), english, chinese)


def test_reshape(submission):
    english = (
        "`reshape` does not always copy: it gives a view wherever the strides allow one, as for a contiguous tensor."
    )
    chinese = "`reshape` 并不总是复制：只要步长允许（例如张量是连续的），它就返回视图。"
    judge(submission, "x.reshape(-1)", lambda x: x.reshape(-1), english, chinese)


def test_transposed_reshape(submission):
    english = "`reshape` copies when it must: no stride walks through a transposed matrix row by row."
    chinese = "`reshape` 在不得已时才复制：没有任何步长能逐行走遍一个转置后的矩阵。"
    judge(submission, "x.t().reshape(-1)", lambda x: x.t().reshape(-1), english, chinese)


def test_transposed(submission):
    english = "Transposing swaps the strides and moves no number."
    chinese = "转置只是交换步长，不移动任何数字。"
    judge(submission, "x.t()", lambda x: x.t(), english, chinese)


def test_clone(submission):
    english = "`clone` always copies. (Tensors have no `.copy()`.)"
    chinese = "`clone` 总是复制。（张量没有 `.copy()`。）"
    judge(submission, "x.clone()", lambda x: x.clone(), english, chinese)


def test_detach(submission):
    english = "`detach` leaves the graph and nothing else: the memory is the same."
    chinese = "`detach` 只是脱离计算图：内存还是同一块。"
    judge(submission, "x.detach()", lambda x: x.detach(), english, chinese)


def test_contiguous(submission):
    english = "`contiguous` gives the tensor itself when it is contiguous already, and x is."
    chinese = "若张量已经连续，`contiguous` 就返回它自己，而 x 正是连续的。"
    judge(submission, "x.contiguous()", lambda x: x.contiguous(), english, chinese)


def test_transposed_contiguous(submission):
    english = "The transposed matrix is not contiguous, so `contiguous` has to copy it."
    chinese = "转置后的矩阵不连续，因此 `contiguous` 必须复制。"
    judge(submission, "x.t().contiguous()", lambda x: x.t().contiguous(), english, chinese)
