"""Diagnoses of exceptions: what torch's own messages mean, for students who meet them for the first time."""

from __future__ import annotations

import re

from .pair import Diagnosis

_CAUSES = (
    ("raised-devices", r"Expected all tensors to be on the same device"),
    ("raised-second-backward", r"Trying to backward through the graph a second time"),
    ("raised-no-graph", r"does not require grad and does not have a grad_fn"),
    ("raised-leaf-in-place", r"a (view of a )?leaf Variable that requires grad .* in-place operation"),
    ("raised-many-as-bool", r"Boolean value of Tensor with more than one value is ambiguous"),
    ("raised-not-scalar", r"grad can be implicitly created only for scalar outputs"),
    ("raised-not-scalar", r"a Tensor with \d+ elements cannot be converted to Scalar"),
    ("raised-dtypes", r"expected (scalar type|m1 and m2 to have the same dtype)|must have the same dtype"),
    ("raised-dimension", r"Dimension out of range"),
    (
        "raised-sizes",
        r"The size of tensor a \(\d+\) must match|shapes cannot be multiplied|size mismatch|inconsistent tensor size"
        r"|Sizes of tensors must match|is invalid for input of size|stack expects each tensor to be equal size",
    ),
)


def diagnose_error(error: str, text: str) -> Diagnosis | None:
    """Return what the exception named `error` with the message `text` means, or None if that is not known.

    The text is only searched for torch's own words, nothing of it is repeated.
    """
    if error == "NotImplementedError":
        return Diagnosis("raised-not-implemented") if not text else None
    if error not in {"RuntimeError", "IndexError"}:
        return None
    code = next((code for code, words in _CAUSES if re.search(words, text)), None)
    return Diagnosis(code, {"error": error}) if code else None
