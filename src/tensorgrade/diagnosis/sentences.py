"""The sentences of all diagnoses by code, in English and Chinese.

``{subject}`` and ``{subject_zh}`` name what the sentence is about ("result", "结果"); other facts are the student's own
or a dimension's number. No sentence names an expected value, an expected shape or an input.
"""

from .tensor_sentences import PLACES, SHAPES, VALUES

_KINDS: dict[str, tuple[str, str]] = {
    "nothing": (
        "The {subject} is None: is a `return` missing?",
        "{subject_zh}是 None：是不是漏写了 `return`？",
    ),
    "type": (
        "The {subject} is of type {got}; {expected} is asked for.",
        "{subject_zh}的类型是 {got}，而要求的是 {expected}。",
    ),
    "number-as-tensor": (
        "The {subject} has the right value, but is of type {got}; a Python number is asked for, as `.item()` gives it.",
        "{subject_zh}的数值正确，但类型是 {got}，而要求的是 Python 数（可用 `.item()` 得到）。",
    ),
    "tensor-as-data": (
        "The {subject} has the right values, but is of type {got}; a tensor is asked for.",
        "{subject_zh}的数值正确，但类型是 {got}，而要求的是张量。",
    ),
    "other-container": (
        "The {subject} has the right items, but is a {got}; a {expected} is asked for.",
        "{subject_zh}的各项正确，但它是 {got}，而要求的是 {expected}。",
    ),
    "other-number": (
        "The {subject} has the right value, but is of type {got}; {expected} is asked for.",
        "{subject_zh}的数值正确，但类型是 {got}，而要求的是 {expected}。",
    ),
    "inside-container": (
        "The {subject} is a {got} around the right value: is there a comma or a pair of brackets too many?",
        "{subject_zh}是一个包着正确值的 {got}：是不是多了一个逗号或一对括号？",
    ),
    "number-as-text": (
        "The {subject} is a text that reads like the right number; the number itself is asked for.",
        "{subject_zh}是写着正确数字的字符串，而要求的是数本身。",
    ),
    "letter-case": (
        "The {subject} is right but for upper and lower case.",
        "{subject_zh}只有字母大小写不对。",
    ),
    "white-space": (
        "The {subject} is right but for spaces or line ends.",
        "{subject_zh}只有空格或换行不对。",
    ),
    "unread": (
        "The {subject} is a tensor without ordinary values (too large, sparse, or without data).",
        "{subject_zh}是一个没有普通数值的张量（过大、稀疏或没有数据）。",
    ),
    "unequal": (
        "The {subject} is not what is asked for.",
        "{subject_zh}不符合要求。",
    ),
    "dtype": (
        "The {subject} has dtype {got}, which is not the one that is asked for.",
        "{subject_zh}的 dtype 是 {got}，不是所要求的。",
    ),
    "dtype-float64": (
        "The {subject} has dtype torch.float64, which is not the one that is asked for: does it come from NumPy,"
        " whose default is float64?",
        "{subject_zh}的 dtype 是 torch.float64，不是所要求的：它是不是来自默认使用 float64 的 NumPy？",
    ),
    "dtype-integer": (
        "The {subject} has the integer dtype {got}, but a floating-point one is asked for: was it made from"
        " numbers without a decimal point?",
        "{subject_zh}的 dtype 是整数类型 {got}，而要求的是浮点类型：它是不是由没有小数点的数创建的？",
    ),
    "dtype-float": (
        "The {subject} has the floating-point dtype {got}, but an integer or bool one is asked for: was `/` used,"
        " or a function that gives float by default?",
        "{subject_zh}的 dtype 是浮点类型 {got}，而要求的是整数或布尔类型：是不是用了 `/`，或用了默认返回浮点数的函数？",
    ),
    "dtype-bool": (
        "The {subject} has dtype torch.bool, as a comparison gives it; numbers are asked for.",
        "{subject_zh}的 dtype 是 torch.bool（比较运算的结果），而要求的是数。",
    ),
}

_CONTAINERS: dict[str, tuple[str, str]] = {
    "item-missing": (
        "The {subject} has the right items, but one at the end is missing.",
        "{subject_zh}的各项正确，但末尾少了一项。",
    ),
    "item-extra": (
        "The {subject} has the right items, and one more at the end.",
        "{subject_zh}的各项正确，但末尾多了一项。",
    ),
    "too-few-items": (
        "The {subject} has fewer items than are asked for.",
        "{subject_zh}的项数比要求的少。",
    ),
    "too-many-items": (
        "The {subject} has more items than are asked for.",
        "{subject_zh}的项数比要求的多。",
    ),
    "items-reversed": (
        "The {subject} has the right items in reverse order.",
        "{subject_zh}的各项正确，但顺序颠倒了。",
    ),
    "items-order": (
        "The {subject} has the right items in another order.",
        "{subject_zh}的各项正确，但顺序不对。",
    ),
    "keys-order": (
        "The {subject} has the right keys in another order.",
        "{subject_zh}的键正确，但顺序不对。",
    ),
    "keys-missing": (
        "Keys are missing in the {subject}.",
        "{subject_zh}缺少一些键。",
    ),
    "keys-extra": (
        "The {subject} has keys that are not asked for.",
        "{subject_zh}有多余的键。",
    ),
    "keys-other": (
        "The {subject} has other keys than those asked for.",
        "{subject_zh}的键与要求的不同。",
    ),
    "module-prefix": (
        "Keys of the {subject} still begin with `module.`, which a wrapped model adds to its names.",
        "{subject_zh}的键仍以 `module.` 开头，这是包装后的模型给名称加上的前缀。",
    ),
}

_STATES: dict[str, tuple[str, str]] = {
    "device": (
        "The {subject} is on the device {got}, not where it should be.",
        "{subject_zh}在设备 {got} 上，而不在应在的设备上。",
    ),
    "on-cpu": (
        "The {subject} is still on the CPU: does `.to(device)` return a new tensor that is not used?",
        "{subject_zh}仍在 CPU 上：`.to(device)` 返回新的张量，是不是没有使用它？",
    ),
    "on-accelerator": (
        "The {subject} is on {got}; it should be on the CPU.",
        "{subject_zh}在 {got} 上，而应当在 CPU 上。",
    ),
    "other-index": (
        "The {subject} is on the right kind of device, but on {got} instead of another one.",
        "{subject_zh}所在设备的类型正确，但它在 {got} 上，而应当在另一个上。",
    ),
    "in-graph": (
        "The {subject} is part of an autograd graph (requires_grad is True); it should be detached from it.",
        "{subject_zh}仍在自动求导的计算图中（requires_grad 为 True），应当与计算图分离。",
    ),
    "no-graph": (
        "The {subject} does not require grad: no gradient can flow through it.",
        "{subject_zh}不需要梯度（requires_grad 为 False）：梯度无法通过它回传。",
    ),
    "no-graph-integer": (
        "The {subject} has dtype {got}; only floating-point and complex tensors can have gradients.",
        "{subject_zh}的 dtype 是 {got}，而只有浮点和复数张量才能有梯度。",
    ),
    "graph-cut": (
        "The {subject} does not require grad although an argument does: is there a `detach`, `no_grad`, `.item()`,"
        " `.data` or a new `torch.tensor` on the way?",
        "{subject_zh}不需要梯度，尽管有参数需要：中间是否用了 `detach`、`no_grad`、`.item()`、"
        "`.data` 或新建的 `torch.tensor`？",
    ),
    "not-leaf": (
        "The {subject} is not a leaf of the autograd graph.",
        "{subject_zh}不是计算图的叶子张量。",
    ),
    "grad-of-non-leaf": (
        "The {subject} is not a leaf, so `backward` does not fill its `.grad` (unless `retain_grad` asks for it).",
        "{subject_zh}不是叶子张量，因此 `backward` 不会填充它的 `.grad`（除非用了 `retain_grad`）。",
    ),
    "grad-missing": (
        "The {subject} has no `.grad`: `backward` was not called, or what it was called on does not depend on it.",
        "{subject_zh}没有 `.grad`：没有调用 `backward`，或调用它的量与此无关。",
    ),
    "grad-accumulated": (
        "The gradient of the {subject} is added to the one that was there before: should `.grad` be cleared first?",
        "{subject_zh}的梯度加到了原有的梯度上：是否应当先清除 `.grad`？",
    ),
    "grad-doubled": (
        "The gradient of the {subject} is 2 times what it should be: was `backward` called twice?",
        "{subject_zh}的梯度是正确值的 2 倍：是不是调用了两次 `backward`？",
    ),
    "shared": (
        "The {subject} shares memory with another tensor; a copy is asked for.",
        "{subject_zh}与另一个张量共享内存，而这里要求的是副本。",
    ),
    "not-shared": (
        "The {subject} is a copy; a view, which shares memory, is asked for.",
        "{subject_zh}是一个副本，而这里要求的是共享内存的视图。",
    ),
    "random-state": (
        "The global random state was changed: use a `torch.Generator` of its own.",
        "全局随机状态被改变了：请使用单独的 `torch.Generator`。",
    ),
    "wrapped-for-one": (
        "The model is wrapped although there is only one device: wrapping is of no use then.",
        "只有一个设备，模型却被包装了：此时包装没有用处。",
    ),
    "not-wrapped": (
        "The model is not wrapped although there are several devices.",
        "有多个设备，模型却没有被包装。",
    ),
    "device-ids-order": (
        "The model is wrapped for the right devices, but they are listed in another order.",
        "模型包装所用的设备正确，但顺序不对。",
    ),
    "device-ids-missing": (
        "The model is wrapped for fewer devices than it should be.",
        "模型包装所用的设备比应有的少。",
    ),
    "device-ids": (
        "The model is wrapped for other devices than it should be.",
        "模型包装所用的设备不正确。",
    ),
    "replica-sizes": (
        "The batch is not divided among the replicas as it should be.",
        "批次在各个副本之间的划分不正确。",
    ),
    "replica-sum": (
        "The parts for the replicas do not add up to the batch: items are lost or used twice.",
        "各副本得到的部分加起来不等于整个批次：有的项丢失或重复了。",
    ),
}

_ERRORS: dict[str, tuple[str, str]] = {
    "raised-not-implemented": (
        "It raised NotImplementedError: is it still as it was given out?",
        "抛出了 NotImplementedError：是不是还没有写答案？",
    ),
    "raised-sizes": (
        "It raised {error}: sizes of tensors do not fit each other.",
        "抛出了 {error}：张量的大小互不匹配。",
    ),
    "raised-devices": (
        "It raised {error}: tensors are on different devices.",
        "抛出了 {error}：张量位于不同的设备上。",
    ),
    "raised-dtypes": (
        "It raised {error}: dtypes of tensors do not fit each other.",
        "抛出了 {error}：张量的 dtype 互不匹配。",
    ),
    "raised-dimension": (
        "It raised {error}: a tensor does not have the dimension that was named.",
        "抛出了 {error}：张量没有所指定的维度。",
    ),
    "raised-leaf-in-place": (
        "It raised {error}: a leaf that requires grad was changed in place.",
        "抛出了 {error}：原地修改了需要梯度的叶子张量。",
    ),
    "raised-second-backward": (
        "It raised {error}: `backward` went through the same graph a second time.",
        "抛出了 {error}：对同一个计算图第二次调用了 `backward`。",
    ),
    "raised-no-graph": (
        "It raised {error}: `backward` was called on a tensor that does not require grad.",
        "抛出了 {error}：对不需要梯度的张量调用了 `backward`。",
    ),
    "raised-many-as-bool": (
        "It raised {error}: a tensor of several elements cannot be used in `if`, `and`, `or`, `not`.",
        "抛出了 {error}：含多个元素的张量不能用于 `if`、`and`、`or`、`not`。",
    ),
    "raised-not-scalar": (
        "It raised {error}: a tensor of one element is needed here, as for `item` and for `backward` without a"
        " gradient.",
        "抛出了 {error}：这里需要只有一个元素的张量，例如 `item` 或不带梯度的 `backward`。",
    ),
}

SENTENCES: dict[str, tuple[str, str]] = {
    **_KINDS,
    **_CONTAINERS,
    **SHAPES,
    **VALUES,
    **PLACES,
    **_STATES,
    **_ERRORS,
}
