"""Arguments on another device that CUDA accepts too, each with the reason."""

from __future__ import annotations

import fnmatch

APART = "each tensor of the list is treated by itself"
SHAPE = "only the shape of the other tensor is asked for"
INDICES = "indices on the CPU are copied to the device of what is indexed; those of another GPU are refused"
COPIED = "the source is copied into the result with copy_, which goes between all devices"

ACCEPTED: dict[tuple[str, str, str], str] = {
    ("__getitem__", "args*", "cpu"): INDICES,
    ("index_put", "args[[]0]*", "cpu"): INDICES,
    ("_unsafe_masked_index*", "args[[]1]*", "cpu"): INDICES,
    ("atleast_?d", "input*", "*"): APART,
    ("broadcast_tensors", "*", "*"): SHAPE,
    ("expand_as", "*", "*"): SHAPE,
    ("reshape_as", "*", "*"): SHAPE,
    ("resize_as_", "*", "*"): SHAPE,
    ("view_as", "*", "*"): SHAPE,
    ("as_strided_scatter", "*", "*"): COPIED,
    ("diagonal_scatter", "*", "*"): COPIED,
    ("select_scatter", "*", "*"): COPIED,
    ("slice_scatter", "*", "*"): COPIED,
    ("tensor_split", "args[[]0]", "cpu"): "indices have to be on the CPU",
    ("tensor_split", "input", "*"): "the indices are on the CPU, so that there is one tensor only",
    ("diff", "*", "*"): "with n=0 the input comes back before what is prepended and appended is looked at",
    ("nn.functional.ctc_loss", "args[[]0]", "*"): "targets are copied to the device of the log-probabilities",
    ("nn.functional.ctc_loss", "input", "*"): "the targets follow the log-probabilities, the lengths go to the CPU",
    ("nn.functional.ctc_loss", "args[[][12]]", "*"): "lengths are read on the CPU, wherever they are",
}
"""(entry, argument, its device) as patterns -> the reason. An entry stays here also when the package is stricter."""


DESTINATIONS = {"to": "the other tensor says where the result goes: it cannot be misplaced"}
"""Entries for which this question means nothing, with the reason."""


def reason_for(entry: str, argument: str, device: str) -> str | None:
    """Why CUDA accepts this argument of an entry on that device; None when it does not."""
    for pattern, reason in ACCEPTED.items():
        if all(map(fnmatch.fnmatchcase, (entry, argument, device), pattern)):
            return reason
    return None
