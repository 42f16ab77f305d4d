"""The sentences about shapes and values; see `sentences`."""

SHAPES: dict[str, tuple[str, str]] = {
    "shape": (
        "The {subject} does not have the shape that is asked for.",
        "{subject_zh}的形状不符合要求。",
    ),
    "transposed": (
        "The {subject} is the transpose of what is asked for: rows and columns are swapped.",
        "{subject_zh}是正确结果的转置：行和列互换了。",
    ),
    "permuted": (
        "The {subject} has the right values, but its dimensions are in another order.",
        "{subject_zh}的数值正确，但维度的顺序不对。",
    ),
    "reshaped": (
        "The {subject} has the right values in the wrong places: was `reshape` or `view` used where dimensions are"
        " to be swapped (`transpose`, `permute`)?",
        "{subject_zh}的数值正确，但位置不对：是不是在需要交换维度（`transpose`、"
        "`permute`）时用了 `reshape` 或 `view`？",
    ),
    "reshape": (
        "The {subject} has the right values in the right order, but another shape.",
        "{subject_zh}的数值和顺序都正确，但形状不对。",
    ),
    "flattened": (
        "The {subject} has the right values, but all in one dimension; more dimensions are asked for.",
        "{subject_zh}的数值正确，但全部排成了一维，而要求的是多维。",
    ),
    "unsqueezed": (
        "The {subject} has the right values, but a dimension of size 1 too many (`keepdim`, `unsqueeze`, `None`).",
        "{subject_zh}的数值正确，但多了大小为 1 的维度（`keepdim`、`unsqueeze`、`None`）。",
    ),
    "squeezed": (
        "The {subject} has the right values, but a dimension of size 1 is missing (`squeeze`, `keepdim`).",
        "{subject_zh}的数值正确，但少了大小为 1 的维度（`squeeze`、`keepdim`）。",
    ),
    "size-one-moved": (
        "The {subject} has the right values, but its dimension of size 1 is in another place.",
        "{subject_zh}的数值正确，但大小为 1 的维度位置不对。",
    ),
    "broadcast": (
        "The {subject} is a square table, and only its diagonal is asked for: was shape (n,) combined with shape"
        " (n, 1)?",
        "{subject_zh}是行数与列数相同的表，而所要求的只是它的对角线：是不是把形状 (n,) 与 (n, 1) 放在一起运算了？",
    ),
    "extra-last": (
        "The {subject} is right but for one item too many at the end of dimension {dim}: does the end belong to it?",
        "{subject_zh}只是在维度 {dim} 的末尾多了一项：终点应当包括在内吗？",
    ),
    "extra-first": (
        "The {subject} is right but for one item too many at the beginning of dimension {dim}.",
        "{subject_zh}只是在维度 {dim} 的开头多了一项。",
    ),
    "missing-last": (
        "The {subject} is right, but the last item of dimension {dim} is missing: does the end belong to it?",
        "{subject_zh}只是在维度 {dim} 的末尾少了一项：终点应当包括在内吗？",
    ),
    "missing-first": (
        "The {subject} is right, but the first item of dimension {dim} is missing: does counting start at 0?",
        "{subject_zh}只是在维度 {dim} 的开头少了一项：是不是应当从 0 开始？",
    ),
    "extra-last-items": (
        "The {subject} is right but for several items too many at the end of dimension {dim}.",
        "{subject_zh}只是在维度 {dim} 的末尾多了几项。",
    ),
    "extra-first-items": (
        "The {subject} is right but for several items too many at the beginning of dimension {dim}.",
        "{subject_zh}只是在维度 {dim} 的开头多了几项。",
    ),
    "missing-last-items": (
        "The {subject} is right, but several items at the end of dimension {dim} are missing.",
        "{subject_zh}只是在维度 {dim} 的末尾少了几项。",
    ),
    "missing-first-items": (
        "The {subject} is right, but several items at the beginning of dimension {dim} are missing.",
        "{subject_zh}只是在维度 {dim} 的开头少了几项。",
    ),
    "repeated": (
        "The {subject} repeats the right values along dimension {dim}, which should not be there.",
        "{subject_zh}沿维度 {dim} 重复了正确的数值，而这个维度不应存在。",
    ),
    "last-not-selected": (
        "The {subject} holds all items of dimension {dim}; the last of them is what is asked for.",
        "{subject_zh}包含维度 {dim} 的所有项，而要求的是其中的最后一项。",
    ),
    "first-not-selected": (
        "The {subject} holds all items of dimension {dim}; the first of them is what is asked for.",
        "{subject_zh}包含维度 {dim} 的所有项，而要求的是其中的第一项。",
    ),
    "dim-not-reduced": (
        "The {subject} still has dimension {dim}: reducing over it (a sum, a mean, a maximum, ...) gives the right"
        " values.",
        "{subject_zh}还保留着维度 {dim}：对它做归约（求和、平均、最大值等）就得到正确的数值。",
    ),
    "not-reduced": (
        "The {subject} is not reduced to one value: reducing all of it (a sum, a mean, a maximum, ...) gives the"
        " right one.",
        "{subject_zh}没有归约为一个值：对全部元素做归约（求和、平均、最大值等）就得到正确的值。",
    ),
    "reduced-too-far": (
        "The {subject} is reduced (summed, averaged, ...) over a dimension that should be kept.",
        "{subject_zh}对一个应当保留的维度做了归约（求和、平均等）。",
    ),
}

VALUES: dict[str, tuple[str, str]] = {
    "values": (
        "The {subject} has the right shape, but not the right values.",
        "{subject_zh}的形状正确，但数值不正确。",
    ),
    "nan": (
        "The {subject} has NaN where a number is asked for: is there something like 0/0, inf - inf, or the root or"
        " logarithm of a negative number?",
        "{subject_zh}中本应是数的地方出现了 NaN：是否有 0/0、inf - inf，或对负数开方、取对数？",
    ),
    "infinite": (
        "The {subject} has infinity where a number is asked for: is something divided by 0, or too large for its"
        " dtype?",
        "{subject_zh}中本应是数的地方出现了无穷大：是否除以了 0，或数值超出了 dtype 的范围？",
    ),
    "imprecise": (
        "The {subject} is nearly right, but not precise enough: was a part of it rounded, or computed in a less"
        " precise dtype or with an inexact formula?",
        "{subject_zh}接近正确，但不够精确：是否有一部分被取整，或用了精度较低的 dtype 或不精确的公式？",
    ),
    "inverted": (
        "Each True of the {subject} should be False, and each False True.",
        "{subject_zh}中的 True 和 False 正好相反。",
    ),
    "zeros": (
        "The {subject} is 0 everywhere; it should not be.",
        "{subject_zh}全是 0，而不应如此。",
    ),
    "sign": (
        "The {subject} has the opposite sign everywhere.",
        "{subject_zh}的符号全部相反。",
    ),
    "sign-of-some": (
        "The {subject} is right but for the sign of some values.",
        "{subject_zh}只有部分数值的符号不对。",
    ),
    "conjugate": (
        "The {subject} is the complex conjugate of what is asked for.",
        "{subject_zh}是正确结果的复共轭。",
    ),
    "doubled": (
        "The {subject} is 2 times what it should be: is something added twice, or is a factor 1/2 missing?",
        "{subject_zh}是正确结果的 2 倍：是不是有东西加了两次，或漏了系数 1/2？",
    ),
    "halved": (
        "The {subject} is half of what it should be: is a factor 2 missing, or a factor 1/2 too many?",
        "{subject_zh}是正确结果的一半：是不是漏了系数 2，或多了系数 1/2？",
    ),
    "factor-size": (
        "The {subject} is off by a factor that is a size of the tensors: was a sum taken where a mean is asked"
        " for, or a mean where a sum is?",
        "{subject_zh}与正确结果相差一个倍数，恰好是张量的某个大小：是不是混淆了求和与求平均？",
    ),
    "unbiased": (
        "The {subject} is too large by a factor n/(n-1) or its root. If this is a variance or a standard"
        " deviation: was it divided by n-1 where n is asked for?",
        "{subject_zh}偏大，倍数是 n/(n-1) 或其平方根。如果这是方差或标准差：是不是应当除以 n 却除以了 n-1？",
    ),
    "biased": (
        "The {subject} is too small by a factor (n-1)/n or its root. If this is a variance or a standard"
        " deviation: was it divided by n where n-1 is asked for?",
        "{subject_zh}偏小，倍数是 (n-1)/n 或其平方根。如果这是方差或标准差：是不是应当除以 n-1 却除以了 n？",
    ),
    "factor": (
        "The {subject} is off by the same factor everywhere.",
        "{subject_zh}处处与正确结果相差同一个倍数。",
    ),
    "factor-along": (
        "The {subject} is off by a factor that is the same for all items of dimension {dim}: is something missing"
        " that is broadcast along it?",
        "{subject_zh}与正确结果相差的倍数沿维度 {dim} 相同：是不是漏了沿该维度广播的一项？",
    ),
    "one-too-large": (
        "The {subject} is 1 too large everywhere: does counting start at 0?",
        "{subject_zh}处处大了 1：是不是应当从 0 开始计数？",
    ),
    "one-too-small": (
        "The {subject} is 1 too small everywhere: does counting start at 1?",
        "{subject_zh}处处小了 1：是不是应当从 1 开始计数？",
    ),
    "offset": (
        "The {subject} is off by the same amount everywhere.",
        "{subject_zh}处处与正确结果相差同一个数。",
    ),
    "offset-along": (
        "The {subject} is off by an amount that is the same for all items of dimension {dim}: is something missing"
        " that is broadcast along it?",
        "{subject_zh}与正确结果相差的数沿维度 {dim} 相同：是不是漏了沿该维度广播的一项？",
    ),
    "squared": (
        "The {subject} is the square of what it should be: is a square root missing?",
        "{subject_zh}是正确结果的平方：是不是漏了开平方？",
    ),
    "rooted": (
        "The {subject} is the square root of what it should be: is a square missing, or a root too many?",
        "{subject_zh}是正确结果的平方根：是不是漏了平方，或多开了一次方？",
    ),
    "reciprocal": (
        "The {subject} is 1 divided by what it should be: was it divided the wrong way round?",
        "{subject_zh}是正确结果的倒数：是不是除反了？",
    ),
    "logarithm": (
        "The {subject} is the logarithm of what it should be.",
        "{subject_zh}是正确结果的对数。",
    ),
    "exponential": (
        "The {subject} is the exponential of what it should be: is a logarithm missing?",
        "{subject_zh}是正确结果的指数：是不是漏了取对数？",
    ),
    "fraction": (
        "The {subject} has lost what comes after the decimal point: is there an integer dtype, `//` or a rounding?",
        "{subject_zh}丢失了小数部分：是不是用了整数 dtype、`//` 或取整？",
    ),
    "flipped": (
        "The {subject} has the right values in reverse order along dimension {dim}.",
        "{subject_zh}的数值正确，但沿维度 {dim} 的顺序颠倒了。",
    ),
    "shifted": (
        "The {subject} is shifted by one place along dimension {dim}.",
        "{subject_zh}沿维度 {dim} 错开了一个位置。",
    ),
    "rolled": (
        "The {subject} is shifted by several places along dimension {dim}.",
        "{subject_zh}沿维度 {dim} 错开了几个位置。",
    ),
    "mean-left": (
        "The mean of the {subject} should be 0: is a mean still to be subtracted?",
        "{subject_zh}的平均值应为 0：是不是还没有减去平均值？",
    ),
    "mean-left-along": (
        "The mean of the {subject} over dimension {dim} should be 0: is a mean still to be subtracted?",
        "{subject_zh}在维度 {dim} 上的平均值应为 0：是不是还没有减去平均值？",
    ),
    "normalised-along": (
        "The {subject} adds up to 1 over dimension {got}; it should over dimension {dim}.",
        "{subject_zh}沿维度 {got} 的和为 1，而应当沿维度 {dim} 的和为 1。",
    ),
    "not-normalised": (
        "The {subject} does not add up to 1 over dimension {dim}, as it should: is a softmax or a division missing?",
        "{subject_zh}沿维度 {dim} 的和应为 1，但不是：是不是漏了 softmax 或除法？",
    ),
    "order": (
        "The {subject} has the right values, but in the wrong places.",
        "{subject_zh}的数值正确，但位置不对。",
    ),
    "unchanged": (
        "The {subject} is equal to an argument: nothing has been changed in it.",
        "{subject_zh}与一个参数相等：没有发生任何改变。",
    ),
    "added": (
        "The {subject} has the values of an argument added to the right ones.",
        "{subject_zh}是在正确数值上又加了一个参数的数值。",
    ),
    "along-another": (
        "The {subject} is computed along dimension {got}; another one is asked for.",
        "{subject_zh}是沿维度 {got} 计算的，而要求的是另一个维度。",
    ),
    "reduced-all": (
        "The {subject} is computed over all dimensions; a single one is asked for.",
        "{subject_zh}是对所有维度计算的，而要求的只是其中一个。",
    ),
}

PLACES: dict[str, tuple[str, str]] = {
    "only-diagonal": (
        "The {subject} is wrong on the diagonal only.",
        "{subject_zh}只有对角线上的数值不对。",
    ),
    "only-above-diagonal": (
        "The {subject} is wrong above the diagonal only.",
        "{subject_zh}只有对角线以上的数值不对。",
    ),
    "only-below-diagonal": (
        "The {subject} is wrong below the diagonal only.",
        "{subject_zh}只有对角线以下的数值不对。",
    ),
    "only-off-diagonal": (
        "The {subject} is right on the diagonal only.",
        "{subject_zh}只有对角线上的数值是对的。",
    ),
    "only-first": (
        "The {subject} is wrong at the first index of dimension {dim} only.",
        "{subject_zh}只在维度 {dim} 的第一个下标处不对。",
    ),
    "only-last": (
        "The {subject} is wrong at the last index of dimension {dim} only.",
        "{subject_zh}只在维度 {dim} 的最后一个下标处不对。",
    ),
    "only-one-index": (
        "The {subject} is wrong at a single index of dimension {dim}, neither the first nor the last.",
        "{subject_zh}只在维度 {dim} 的某一个下标处不对（不是第一个，也不是最后一个）。",
    ),
    "only-negative": (
        "The {subject} is wrong only where it should be negative.",
        "{subject_zh}只在应为负数的地方不对。",
    ),
    "only-zero": (
        "The {subject} is wrong only where it should be 0.",
        "{subject_zh}只在应为 0 的地方不对。",
    ),
    "constant": (
        "The {subject} has the same value everywhere; it should have different ones.",
        "{subject_zh}处处相同，而应当有不同的数值。",
    ),
    "some": (
        "The {subject} is right in at least half of its places, and wrong in the others.",
        "{subject_zh}至少有一半的数值正确，其余的不对。",
    ),
}
