"""parallel/wrap: wrapped in DataParallel only where there are several GPUs, on machines with 0, 1, 2 and 4 of them."""

import functools

import torch
from torch import nn

from tensorgrade import expect

SEVERAL = {2: [[0, 1], [1, 0], [1], [0]], 4: [[0, 1, 2, 3], [2, 0], [3], [1, 3]]}


def models():
    """Models with and without parameters and buffers, one of them with a frozen parameter."""
    torch.default_generator.manual_seed(3)
    frozen = nn.Linear(3, 2)
    frozen.weight.requires_grad_(False)
    return [frozen, nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)), nn.Sequential()]


def keeps(model, given):
    """Check that an observed model has the values, dtypes, flags and modes of the given one, on whatever device."""
    modes = {name: module.training for name, module in given.named_modules()}
    expect(model.training, "mode of the model", "模型的模式").equals(modes)
    tensors = {**dict(given.named_parameters()), **dict(given.named_buffers())}
    for name, wanted in tensors.items():
        observed = model.parameters.get(name) or model.buffers.get(name)
        expect(observed, "value in the model", "模型中的数值").has_dtype(wanted.dtype).equals(wanted.detach())
        expect(observed.requires_grad, "`requires_grad` in the model", "模型中的 `requires_grad` ").equals(
            wanted.requires_grad
        )


def test_no_gpu(submission):
    cases = [(model, ids) for model in models() for ids in ([], [0], [0, 1], (1, 0))]
    for attempt in submission.machine(accelerators=0).calls("prepare", cases):
        expect(attempt).is_same_object_as(attempt.arguments[0])


def test_on_cpu(submission):
    cases = [(model.train(training), [0]) for training in (True, False) for model in models()]
    for attempt in submission.machine(accelerators=0).calls("prepare", cases):
        expect(attempt).on_device("cpu").leaves_arguments()


def test_one_gpu(submission):
    cases = [(model.train(training), [0]) for training in (True, False) for model in models()]
    attempts = submission.machine(accelerators=1).calls("prepare", cases)
    for (given, _), attempt in zip(cases, attempts, strict=True):
        expect(attempt).is_same_object_as(attempt.arguments[0]).on_device("cuda:0")
        keeps(attempt.arguments[0], given)


def prepare_each(student, models, lists):
    """What became of each model for each list of GPUs: the facts about the wrapper, and the model itself."""
    found = []
    for model, ids in zip(models, lists, strict=True):
        given = list(ids)
        wrapper = student.prepare(model, given)
        wraps = isinstance(wrapper, nn.DataParallel)
        over = [int(index) for index in wrapper.device_ids] if wraps else []
        found.append((wraps, wraps and wrapper.module is model, over, given, model))
    return found


@functools.cache
def prepared(submission):
    """The model, the GPUs, and what became of them, on machines with several."""
    cases_and_facts = []
    for count, lists in SEVERAL.items():
        cases = [(model.train(number % 2 == 0), ids) for ids in lists for number, model in enumerate(models())]
        given, ids = zip(*cases, strict=True)
        found = submission.machine(accelerators=count).run(prepare_each, given, ids)
        cases_and_facts += zip(given, ids, found, strict=True)
    return cases_and_facts


def test_wrapped(submission):
    for _, ids, (wraps, holds, over, after, _) in prepared(submission):
        expect(wraps, "use of DataParallel", "DataParallel 的使用").equals(True)
        expect(holds, "model inside of the wrapper", "包装中的模型").equals(True)
        expect(over, "GPUs of the wrapper", "包装所用的 GPU").equals(list(ids))
        expect(after, "list of GPUs after the call", "调用之后的 GPU 列表").equals(list(ids))


def test_moved(submission):
    for given, ids, (*_, model) in prepared(submission):
        expect(model, "model", "模型").on_device(f"cuda:{ids[0]}")
        keeps(model, given)
