"""Autograd, modules, optimizers and mixed precision on virtual devices are torch's own, and learn as on the CPU."""

import copy
import gc
import os
import threading
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.virtual_machine import on_machine

FIRST, SECOND, CPU = torch.device("cuda:0"), torch.device("cuda:1"), torch.device("cpu")


def network():
    """A small perceptron with 8 inputs and 3 outputs."""
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


@on_machine(devices=2)
def test_gradients_are_those_of_the_cpu():
    """Gradients of a network on a device are on the device, and equal to those on the CPU."""
    on_device = network()
    on_cpu = copy.deepcopy(on_device)
    on_device.to("cuda:1")
    inputs, labels = torch.randn(5, 8), torch.randint(0, 3, (5,))
    nn.functional.cross_entropy(on_device(inputs.to(1)), labels.to(1)).backward()
    nn.functional.cross_entropy(on_cpu(inputs), labels).backward()
    for ours, theirs in zip(on_device.parameters(), on_cpu.parameters(), strict=True):
        assert ours.grad.device == SECOND
        torch.testing.assert_close(ours.grad.cpu(), theirs.grad)


@on_machine(devices=2)
def test_gradients_flow_back_over_transfers():
    """A leaf gets its gradient where it is, and what .cuda() makes of a leaf is no leaf."""
    leaf = torch.ones(3, requires_grad=True)
    moved = leaf.cuda()
    (moved.to("cuda:1") * 2).sum().backward()
    assert (leaf.grad.device, moved.is_leaf, moved.grad_fn.name()) == (CPU, False, "ToCopyBackward0")


@on_machine(devices=1)
def test_double_backward():
    """Second derivatives are there, by create_graph and by torch.func."""
    warnings.filterwarnings("ignore", "`torch.jit")  # which forward mode needs, is deprecated
    leaf = torch.full((3,), 2.0, device="cuda", requires_grad=True)
    (gradient,) = torch.autograd.grad((leaf**3).sum(), leaf, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), leaf)
    assert (second.tolist(), second.device) == ([12.0] * 3, FIRST)
    hessian = torch.func.hessian(lambda x: (x**3).sum())(leaf.detach())
    assert torch.diagonal(hessian).tolist() == [12.0] * 3
    assert torch.func.vmap(torch.func.grad(lambda x: x**2))(leaf.detach()).tolist() == [4.0] * 3
    jacobian = torch.func.jacfwd(torch.sgn)(leaf.detach())
    assert (jacobian.device, jacobian.abs().sum().item()) == (FIRST, 0)


@on_machine(devices=2)
def test_hooks_functions_and_checkpoints():
    """Hooks and custom functions see tensors of the device, and checkpoints recompute there."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(context, value):
            context.save_for_backward(value)
            return value * value

        @staticmethod
        def backward(context, gradient):
            (value,) = context.saved_tensors
            return 2 * value * gradient

    seen = []
    leaf = torch.full((2,), 3.0, device="cuda:1", requires_grad=True)
    leaf.register_hook(lambda gradient: seen.append(gradient.device))
    Square.apply(leaf).sum().backward()
    assert (leaf.grad.tolist(), seen) == ([6.0, 6.0], [SECOND])
    for reentrant in (True, False):
        leaf.grad = None
        checkpoint(torch.sin, leaf, use_reentrant=reentrant).sum().backward()
        torch.testing.assert_close(leaf.grad, leaf.detach().cos())
    module = nn.Linear(2, 2).to(1)
    module.register_full_backward_hook(lambda module, inputs, outputs: seen.append(outputs[0].device))
    module(leaf).sum().backward()
    assert set(seen) == {SECOND}


@on_machine(devices=1)
def test_modules_keep_their_parameters():
    """Module.cuda moves parameters in place: an optimizer, a weak reference and tied weights keep them."""
    module = network()
    module.register_buffer("seen", torch.zeros(1))
    identities, reference = [id(each) for each in module.parameters()], weakref.ref(module[0].weight)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module.cuda()
    assert [id(each) for each in module.parameters()] == identities
    assert reference() is module[0].weight
    assert module.seen.device == FIRST
    assert all(type(each) is nn.Parameter and each.is_leaf and each.device == FIRST for each in module.parameters())
    before = module[0].weight.detach().clone()
    module(torch.randn(2, 8, device="cuda")).sum().backward()
    optimizer.step()
    assert not module[0].weight.equal(before)
    embedding, head = nn.Embedding(4, 3), nn.Linear(3, 4, bias=False)
    head.weight = embedding.weight
    tied = nn.ModuleList([embedding, head]).cuda()
    assert tied[0].weight is tied[1].weight
    parameter = nn.Parameter(torch.ones(2))
    parameter.data = parameter.data.cuda()
    assert parameter.device == FIRST


@on_machine(devices=1)
def test_moving_a_module_with_a_live_graph():
    """A module may be moved while a graph holds its weights, and load_state_dict copies in place."""
    module = nn.Linear(2, 2)
    weight, loss = module.weight, (module(torch.ones(1, 2)) ** 2).sum()
    module.cuda()
    assert module.weight is weight
    module.zero_grad()
    again = module(torch.ones(1, 2, device="cuda"))
    module.load_state_dict({name: torch.zeros_like(each) for name, each in module.state_dict().items()})
    assert module.weight is weight
    assert module.weight.abs().sum() == 0
    del loss, again


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "Adadelta", "RAdam"])
@on_machine(devices=1)
def test_optimizers(name):
    """Optimizers take the same steps on a device as on the CPU, whichever implementation is chosen."""
    kind = getattr(torch.optim, name)
    fused = [{"fused": True}] if name in ("SGD", "Adam", "AdamW", "Adagrad") else []
    for options in ({}, {"foreach": True}, {"foreach": False}, *fused):
        on_device = network()
        on_cpu = copy.deepcopy(on_device)
        on_device.cuda()
        inputs = torch.randn(4, 8)
        chosen = {} if options == {"fused": True} and name == "Adagrad" else options
        pairs = [(on_device, kind(on_device.parameters(), **chosen), inputs.cuda())]
        pairs += [(on_cpu, kind(on_cpu.parameters(), **chosen), inputs)]
        for _ in range(3):
            for model, optimizer, batch in pairs:
                optimizer.zero_grad()
                model(batch).pow(2).sum().backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
        for ours, theirs in zip(on_device.parameters(), on_cpu.parameters(), strict=True):
            torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-4, atol=1e-5)


LAYERS = {
    "Conv2d(3, 4, 3, padding=1)": (2, 3, 6, 6),
    "Conv2d(4, 4, 3, groups=4)": (2, 4, 6, 6),
    "ConvTranspose2d(3, 2, 2, 2)": (2, 3, 4, 4),
    "Conv3d(1, 2, 2)": (2, 1, 4, 4, 4),
    "BatchNorm2d(3)": (2, 3, 4, 4),
    "LayerNorm(8)": (2, 8),
    "GroupNorm(2, 4)": (2, 4, 3),
    "MaxPool2d(2)": (2, 3, 4, 4),
    "AdaptiveAvgPool2d(1)": (2, 3, 4, 4),
    "GELU()": (2, 5),
    "LSTM(4, 5, 2, batch_first=True, bidirectional=True)": (2, 3, 4),
    "GRU(4, 5)": (3, 2, 4),
    "RNN(4, 5)": (3, 2, 4),
    "LSTMCell(4, 5)": (2, 4),
    "GRUCell(4, 5)": (2, 4),
    "TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)": (2, 3, 8),
    "Upsample(scale_factor=2, mode='bilinear')": (2, 1, 3, 3),
}


@pytest.mark.parametrize("layer", LAYERS)
@on_machine(devices=2)
def test_layers(layer):
    """Layers give on a device what they give on the CPU: values, gradients, and values in evaluation."""
    on_cpu, inputs = eval(f"nn.{layer}"), torch.randn(LAYERS[layer])
    on_device = copy.deepcopy(on_cpu).to(1)
    results = [_first(on_cpu(inputs)), _first(on_device(inputs.to(1)))]
    assert results[1].device == SECOND
    torch.testing.assert_close(results[1].cpu(), results[0], rtol=1e-5, atol=1e-5)
    if results[0].requires_grad:
        for result in results:
            result.sum().backward()
    for ours, theirs in zip(on_device.parameters(), on_cpu.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.cpu(), theirs.grad, rtol=1e-4, atol=1e-4)
    on_cpu.eval(), on_device.eval()
    with torch.no_grad():
        torch.testing.assert_close(_first(on_device(inputs.to(1))).cpu(), _first(on_cpu(inputs)), rtol=1e-5, atol=1e-5)


def _first(result):
    return result[0] if isinstance(result, tuple) else result


@on_machine(devices=1)
def test_packed_sequences_and_padding():
    """Packed sequences keep their lengths on the CPU, and padding masks work in transformers."""
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    packed = pack_padded_sequence(torch.randn(2, 3, 4, device="cuda"), torch.tensor([3, 2]), batch_first=True)
    output, _ = nn.LSTM(4, 5, batch_first=True).cuda()(packed)
    padded, lengths = pad_packed_sequence(output, batch_first=True)
    assert (padded.device, lengths.device) == (FIRST, CPU)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2).cuda().eval()
    mask = torch.tensor([[False, False, True], [False] * 3], device="cuda")
    with torch.no_grad():
        assert encoder(torch.randn(2, 3, 4, device="cuda"), src_key_padding_mask=mask).device == FIRST


@on_machine(devices=1)
def test_mixed_precision():
    """Autocast chooses the dtype of each operation as on CUDA, and GradScaler scales and steps."""
    model = network().cuda()
    optimizer, scaler = torch.optim.SGD(model.parameters(), lr=0.1), torch.amp.GradScaler("cuda")
    with torch.autocast("cuda", dtype=torch.float16):
        output = model(torch.randn(2, 8, device="cuda"))
        loss = nn.functional.cross_entropy(output, torch.tensor([0, 1], device="cuda"))
        probabilities = torch.softmax(output, -1)
    assert (output.dtype, loss.dtype, probabilities.dtype) == (torch.float16, torch.float32, torch.float32)
    before = model[0].weight.detach().clone()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert not model[0].weight.equal(before)
    assert model[0].weight.grad.dtype is torch.float32
    with torch.amp.autocast("cuda", dtype=torch.bfloat16):
        assert model(torch.randn(2, 8, device="cuda")).dtype is torch.bfloat16
        assert model.cpu()(torch.randn(1, 8)).dtype is torch.float32, "autocast for CUDA leaves the CPU alone"


@on_machine(devices=1)
def test_scripts_traces_and_inference():
    """torch.jit and inference mode work as on CUDA."""
    warnings.filterwarnings("ignore", "`torch.jit")  # is deprecated
    inputs = torch.randn(2, 8, device="cuda")
    model = network().cuda()
    assert torch.jit.trace(model, inputs)(inputs).device == FIRST
    assert torch.jit.script(network()).cuda()(inputs).device == FIRST
    with torch.inference_mode():
        assert model(inputs).is_inference()


@on_machine(devices=1)
def test_nothing_leaks():
    """Without a garbage collector, 200 steps leave no more memory allocated than 20."""
    model = network().cuda()
    optimizer = torch.optim.Adam(model.parameters())
    gc.disable()

    def step():
        optimizer.zero_grad()
        model(torch.randn(4, 8, device="cuda")).sum().backward()
        optimizer.step()

    for _ in range(20):
        step()
    before = torch.cuda.memory_allocated()
    for _ in range(200):
        step()
    assert torch.cuda.memory_allocated() == before


@on_machine(devices=2)
def test_backward_starts_no_threads():
    """Backward runs in the calling thread, so that a process can be forked after it, and its child runs backward."""
    leaf = torch.ones(2, device="cuda:1", requires_grad=True)
    threads = []
    leaf.register_hook(lambda gradient: threads.append(threading.current_thread()))
    leaf.sum().backward()
    assert threads == [threading.main_thread()]
    assert len(os.listdir("/proc/self/task")) == 1
    child = os.fork()
    if child == 0:
        leaf.sum().backward()
        os._exit(int(leaf.grad.tolist() != [2, 2]))
    assert os.waitpid(child, 0)[1] == 0
