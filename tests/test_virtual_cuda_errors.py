"""What CUDA refuses is refused in CUDA's words; what it accepts is accepted."""

import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: F401, N812 - expressions use it

from tests.virtual_machine import on_machine

SAME = "Expected all tensors to be on the same device, but "
METHOD = SAME + "got {} is on {}, different from other tensors on {} (when checking argument in method wrapper_CUDA_{})"


def pair(*names):
    """A 2 by 2 tensor of ones on each device named."""
    return [torch.ones(2, 2, device=name) for name in names]


MIXED = {
    "a + c": SAME + "found at least two devices, cuda:0 and cpu!",
    "c + a": SAME + "found at least two devices, cuda:0 and cpu!",
    "a * b": SAME + "found at least two devices, cuda:0 and cuda:1!",
    "a.add_(c)": SAME + "found at least two devices, cuda:0 and cpu!",
    "c.add_(a)": SAME + "found at least two devices, cuda:0 and cpu!",
    "c + a.sum()": SAME + "found at least two devices, cuda:0 and cpu!",
    "c.sum().add_(a.sum())": SAME + "found at least two devices, cuda:0 and cpu!",
    "torch.where(a > 0, a, c)": SAME + "found at least two devices, cuda:0 and cpu!",
    "a.masked_fill(c > 0, 0.0)": SAME + "found at least two devices, cuda:0 and cpu!",
    "F.mse_loss(a, c)": SAME + "found at least two devices, cuda:0 and cpu!",
    "a @ c": METHOD.format("mat2", "cpu", "cuda:0", "mm"),
    "c @ a": METHOD.format("mat2", "cuda:0", "cpu", "mm"),
    "a @ b": METHOD.format("mat2", "cuda:1", "cuda:0", "mm"),
    "torch.addmm(torch.tensor(1.0), a, a)": METHOD.format("mat1", "cuda:0", "cpu", "addmm"),
    "F.linear(c, a)": METHOD.format("mat2", "cuda:0", "cpu", "mm"),
    "nn.Linear(2, 2)(a)": METHOD.format("mat1", "cuda:0", "cpu", "addmm"),
    "nn.Linear(2, 2).cuda()(c)": METHOD.format("mat1", "cpu", "cuda:0", "addmm"),
    "torch.cat([a, c])": METHOD.format("tensors", "cpu", "cuda:0", "cat"),
    "torch.stack([a, b])": METHOD.format("tensors", "cuda:1", "cuda:0", "cat"),
    "F.embedding(torch.tensor([0]), a)": METHOD.format("index", "cpu", "cuda:0", "_index_select"),
    "a.gather(0, torch.zeros(2, 2, dtype=torch.long))": METHOD.format("index", "cpu", "cuda:0", "gather"),
    "F.cross_entropy(a, torch.tensor([0, 1]))": METHOD.format("target", "cpu", "cuda:0", "nll_loss_forward"),
    "nn.LayerNorm(2)(a)": METHOD.format("weight", "cpu", "cuda:0", "_native_layer_norm"),
    "nn.LSTM(2, 2)(a)": "Input and parameter tensors are not at the same device, found input tensor at cuda:0 and "
    "parameter tensor at cpu",
    "nn.Conv1d(2, 2, 1)(a[None])": "Input type (torch.cuda.FloatTensor) and weight type (torch.FloatTensor) should be "
    "the same",
    "nn.Conv1d(2, 2, 1).cuda()(c[None])": "Input type (torch.FloatTensor) and weight type (torch.cuda.FloatTensor) "
    "should be the same or input should be a MKLDNN tensor and weight is a dense tensor",
    "c[torch.tensor([0], device='cuda')]": "indices should be either on cpu or on the same device as the indexed "
    "tensor (cpu)",
    "a[torch.tensor([0], device='cuda:1')]": "indices should be either on cpu or on the same device as the indexed "
    "tensor (cuda:0)",
    "setattr(nn.Parameter(a), 'grad', c)": "attempting to assign a gradient with device type 'cpu' to a tensor with "
    "device type 'cuda'. Please ensure that the gradient and the tensor are on the same device",
    "(a.clone().requires_grad_() * 2).backward(c)": "invalid gradient at index 0 - expected device cuda:0 but got cpu",
    "torch.rand(2, device='cuda', generator=torch.Generator())": "Expected a 'cuda' device type for generator but "
    "found 'cpu'",
    "torch.rand(2, generator=torch.Generator('cuda'))": "Expected a 'cpu' device type for generator but found 'cuda'",
    "a.tensor_split(torch.tensor([1], device='cuda'))": "tensor_split expected tensor_indices_or_sections to be on "
    "cpu, but it's on cuda:0",
}


@pytest.mark.parametrize("expression", MIXED)
@on_machine(devices=2)
def test_mixed_devices_are_refused(expression):
    """Tensors of several devices in one operation raise RuntimeError with CUDA's text."""
    a, b, c = pair("cuda:0", "cuda:1", "cpu")
    with pytest.raises(RuntimeError) as raised:
        eval(expression, globals(), {"a": a, "b": b, "c": c})
    assert str(raised.value).splitlines()[0] == MIXED[expression]


ACCEPTED = {
    "a + torch.tensor(2.0)": "cuda:0",
    "torch.tensor(2.0) * a": "cuda:0",
    "torch.tensor(1.0) + a.sum()": "cuda:0",
    "torch.where(a > 0, a, torch.tensor(0.0))": "cuda:0",
    "a.masked_fill(a > 0, torch.tensor(0.0))": "cuda:0",
    "torch.lerp(a, a, torch.tensor(0.5))": "cuda:0",
    "a[torch.tensor([0])]": "cuda:0",
    "a[c > 0]": "cuda:0",
    "a.copy_(c)": "cuda:0",
    "c.copy_(b)": "cpu",
    "a.index_put((torch.tensor([0]),), torch.tensor(3.0))": "cuda:0",
    "torch.zeros_like(a, device='cpu')": "cpu",
    "a.type_as(b)": "cuda:1",
    "a.to(c)": "cpu",
}


@pytest.mark.parametrize("expression", ACCEPTED)
@on_machine(devices=2)
def test_what_cuda_accepts(expression):
    """CPU scalars, CPU indices and copies go beside tensors of a device."""
    a, b, c = pair("cuda:0", "cuda:1", "cpu")
    assert str(eval(expression, globals(), {"a": a, "b": b, "c": c}).device) == ACCEPTED[expression]


@on_machine(devices=2)
def test_numpy():
    """NumPy is refused for tensors of a device, in the words that students search for."""
    tensor = torch.ones(2, device="cuda:1")
    text = "can't convert cuda:1 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
    for convert in (tensor.numpy, lambda: np.asarray(tensor), lambda: np.array([tensor.sum()]).sum()):
        with pytest.raises(TypeError, match="can't convert cuda:1 device type tensor to numpy") as raised:
            convert()
        assert str(raised.value) == text
    assert tensor.cpu().numpy().tolist() == tensor.numpy(force=True).tolist() == tensor.tolist() == [1, 1]


@on_machine(devices=2)
def test_a_missing_transfer_in_a_network():
    """Two layers on two devices without a transfer between them raise where the second begins."""
    first, second = nn.Linear(2, 2).to("cuda:0"), nn.Linear(2, 2).to("cuda:1")
    with pytest.raises(RuntimeError, match=re.escape(METHOD.format("mat1", "cuda:0", "cuda:1", "addmm"))):
        second(first(torch.ones(1, 2, device="cuda")))


NOT_SIMULATED = [
    "a.to_sparse()",
    "c.to_sparse().cuda()",
    "torch.sparse_coo_tensor([[0], [0]], [1.0], (2, 2), device='cuda', check_invariants=False)",
    "c.to_sparse_csr().cuda() @ a",
    "c.to_sparse_csr().cuda() + c.to_sparse_csr().cuda()",
    "torch.nested.as_nested_tensor([a, a])",
    "torch.nested.nested_tensor([c, c], device='cuda') + 1",
    "torch.quantize_per_tensor(a, 0.1, 0, torch.qint8)",
    "torch.cuda.CUDAGraph()",
    "torch.cuda.graph_pool_handle()",
    "torch.cuda.nccl.version()",
    "torch.cuda.tunable.get_results()",
    "torch.cuda.utilization()",
    "torch.cuda.MemPool()",
    "torch.cuda.current_blas_handle()",
    "a.untyped_storage().resize_(0)",
    "a.untyped_storage()._share_cuda_()",
]


@pytest.mark.parametrize("expression", NOT_SIMULATED)
@on_machine(devices=2)
def test_what_is_not_simulated_says_so(expression):
    """A part of CUDA that virtual devices do not have raises NotSimulated with what to do instead."""
    from tensorgrade.virtual_cuda import NotSimulated

    a, c = pair("cuda:0", "cpu")
    warnings.simplefilter("ignore", UserWarning)  # torch says of some layouts that they may change
    with pytest.raises(NotSimulated, match="is not simulated by virtual CUDA devices; "):
        eval(expression, globals(), {"a": a, "c": c})


@on_machine(devices=1)
def test_inductor_is_not_simulated():
    """torch.compile with inductor raises for tensors of a device, and other backends work."""
    warnings.simplefilter("ignore", DeprecationWarning)  # torch's compiler meets torch's own
    tensor = torch.ones(3, device="cuda")
    with pytest.raises(Exception, match=r"torch\.compile with inductor is not simulated"):
        torch.compile(lambda x: x * 2)(tensor)
    assert torch.compile(lambda x: x * 2, backend="eager")(tensor).device == tensor.device
