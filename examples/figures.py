"""Draws the figures of this course's introductions: assignments/<assignment>/figures/<name>.<language>.svg.

python -m examples.figures
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from examples.drawing import (
    BLUE,
    CELL,
    EDGE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    TINTS,
    arrow,
    box,
    code,
    drawing,
    legend,
    line,
    node,
    tensor,
    text,
)  # fmt: skip

ROOT = Path(__file__).parents[1]
LANGUAGES = ("en", "zh")
Say = Callable[[str, str], str]
"""Chooses the words of a figure's language from the English and the Chinese ones."""


def shapes(say: Say) -> str:
    """Tensors of zero to four dimensions with their shapes."""
    parts = [*tensor(50, 110, [[7]], GREEN), *tensor(135, 110, [[1, 2, 3, 4]], BLUE)]
    parts += tensor(320, 80, [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]], BLUE)
    parts += [arrow((310, 82), (310, 168), colour=FAINT), code(302, 130, "0", colour=FAINT)]
    parts += [arrow((322, 72), (438, 72), colour=FAINT), code(380, 64, "1", colour=FAINT)]
    for image in range(2):
        for channel, colour in reversed(list(enumerate((RED, GREEN, BLUE)))):
            left, top = 520 + 130 * image + 12 * channel, 112 - 14 * channel
            for i in range(3):
                parts += [
                    box(left + 20 * j, top + 20 * i, 20, 20, fill=TINTS[colour], edge=colour, corner=0)
                    for j in range(4)
                ]
    parts += [arrow((515, 190), (750, 190), colour=FAINT), code(632, 206, "0", colour=FAINT)]
    parts += [arrow((512, 108), (536, 80), colour=FAINT), code(516, 90, "1", colour=FAINT)]
    parts += [arrow((512, 114), (512, 170), colour=FAINT), code(503, 146, "2", colour=FAINT)]
    parts += [arrow((548, 76), (622, 76), colour=FAINT), code(586, 68, "3", colour=FAINT)]
    for x, words, shape in (
        (65, say("scalar", "标量"), "()"),
        (195, say("vector", "向量"), "(4,)"),
        (380, say("matrix", "矩阵"), "(3, 4)"),
        (632, say("two images: N, C, H, W", "两幅图像：N、C、H、W"), "(2, 3, 3, 4)"),
    ):
        parts += [text(x, 32, words, bold=True), code(x, 236, shape)]
    return drawing(780, 256, say("Tensors of 0, 1, 2 and 4 dimensions", "0、1、2、4 维张量"), parts)


def strides(say: Say) -> str:
    """A matrix and its transpose as two ways of walking through one storage."""
    x = [[4 * i + j for j in range(4)] for i in range(3)]
    row = {(1, j) for j in range(4)}
    parts = [code(150, 34, "x = torch.arange(12).view(3, 4)"), *tensor(90, 52, x, GREY, marked=row)]
    parts += [code(150, 164, "x.shape     (3, 4)", size=13), code(150, 184, "x.stride()  (4, 1)", size=13)]
    transposed = [[4 * i + j for i in range(3)] for j in range(4)]
    parts += [code(560, 34, "x.t()"), *tensor(515, 52, transposed, GREY, marked={(j, 1) for j in range(4)})]
    parts += [code(560, 194, "x.t().shape     (4, 3)", size=13), code(560, 214, "x.t().stride()  (1, 4)", size=13)]
    left, top = 155, 300
    parts += [text(left - 12, top + 20, say("storage", "存储"), anchor="end", bold=True)]
    parts += tensor(left, top, [list(range(12))], GREY, marked={(0, j) for j in range(4, 8)}, cell=36)
    centre = [left + 36 * number + 18 for number in range(12)]
    parts += [arrow((centre[0], top - 3), (centre[2], top - 78), (centre[4], top - 3), colour=ORANGE)]
    parts += [arrow((centre[4], top - 3), (centre[6], top - 78), (centre[8], top - 3), colour=ORANGE)]
    parts += [
        text(
            centre[4],
            top - 54,
            say("rows of x, columns of x.t(): 4 apart", "x 的行、x.t() 的列：相隔 4"),
            colour=ORANGE,
            size=13,
        )
    ]
    for start in (4, 5, 6):
        parts += [
            arrow(
                (centre[start], top + 39), (centre[start] + 18, top + 64), (centre[start + 1], top + 39), colour=PURPLE
            )
        ]
    parts += [
        text(
            centre[5] + 18,
            top + 74,
            say("columns of x, rows of x.t(): 1 apart", "x 的列、x.t() 的行：相隔 1"),
            colour=PURPLE,
            size=13,
        )
    ]
    return drawing(740, 392, say("One storage, two ways of looking at it", "同一块存储，两种看待方式"), parts)


def views(say: Say) -> str:
    """A write that a view shares and a copy does not."""
    parts = [text(190, 32, say("a view: the same memory", "视图：同一块内存"), bold=True)]
    parts += [text(560, 32, say("a copy: memory of its own", "副本：自己的内存"), bold=True)]
    parts += [line((380, 18), (380, 250), colour=EDGE)]
    for left, name, call, marked in ((40, "v", "v = x[0]", BLUE), (410, "c", "c = x[0].clone()", ORANGE)):
        parts += [code(left, 66, f"{call};  {name}[1] = 9", anchor="start", size=13)]
        written = [0, 9, 2, 3]
        x = [written if name == "v" else [0, 1, 2, 3], [4, 5, 6, 7]]
        parts += [code(left + 12, 138, "x"), code(left + 12, 218, name)]
        if name == "v":
            parts += tensor(left + 40, 100, x, GREY, marked={(0, j) for j in range(4)}, mark=marked)
            parts += tensor(left + 40, 198, [written], marked, ghosts={(0, j) for j in range(4)})
            parts += [arrow((left + 166, 213), (left + 225, 200), (left + 166, 117), colour=marked)]
            parts += [text(left + 218, 182, say("looks at", "指向"), colour=marked, anchor="start", size=13)]
        else:
            parts += tensor(left + 40, 100, x, GREY)
            parts += tensor(left + 40, 198, [written], marked)
        parts += [box(left + 40 + CELL, 198 if name == "c" else 100, CELL, CELL, fill="none", edge=RED, corner=0)]
    parts += [text(640, 120, say("x sees nothing", "x 看不到改变"), anchor="middle", size=13, colour=FAINT)]
    parts += [text(265, 90, say("x sees the change", "x 看得到改变"), anchor="middle", size=13, colour=FAINT)]
    return drawing(740, 256, say("A view and a copy after a write", "写入之后的视图与副本"), parts)


def rule(say: Say) -> str:
    """The sum of a column and a row, with what is repeated but not stored."""
    parts = [code(116, 34, "a  (3, 1)"), code(346, 34, "b  (4,)"), code(596, 34, "a + b  (3, 4)")]
    later = {(i, j) for i in range(3) for j in range(1, 4)}
    parts += tensor(56, 56, [[tens] * 4 for tens in (10, 20, 30)], BLUE, marked=later, mark=GREY, ghosts=later)
    parts += tensor(286, 56, [[1, 2, 3, 4]] * 3, ORANGE, ghosts={(i, j) for i in (1, 2) for j in range(4)})
    parts += tensor(536, 56, [[tens + ones for ones in (1, 2, 3, 4)] for tens in (10, 20, 30)], GREEN)
    parts += [text(231, 107, "+", size=24), text(471, 107, "=", size=24)]
    parts += [arrow((90, 164), (172, 164), colour=BLUE), arrow((406 + 12, 90), (406 + 12, 142), colour=ORANGE)]
    parts += [text(116, 184, say("repeated along dim 1", "沿维度 1 重复"), colour=BLUE, size=13)]
    parts += [text(346, 184, say("repeated along dim 0", "沿维度 0 重复"), colour=ORANGE, size=13)]
    parts += [text(596, 184, say("dashed: nothing is copied", "虚线：并没有复制"), colour=FAINT, size=13)]
    return drawing(740, 204, say("Broadcasting a column and a row", "一列与一行的广播"), parts)


def accident(say: Say) -> str:
    """Differences of two vectors, as they were meant and as broadcasting makes them from a column and a row."""
    parts = [text(170, 32, say("meant: 3 pairs", "本意：3 对"), bold=True)]
    parts += [code(170, 56, "(3,) - (3,)  →  (3,)", size=13)]
    parts += tensor(40, 106, [[5, 7, 9]], BLUE) + tensor(40, 146, [[5, 7, 9]], ORANGE)
    parts += [
        code(28, 126, "p"),
        code(28, 166, "t"),
        text(160, 146, "→", size=20),
        *tensor(190, 121, [[0, 0, 0]], GREEN),
    ]
    parts += [text(500, 32, say("happened: 9 pairs, and no error", "结果：9 对，而且没有报错"), bold=True)]
    parts += [code(500, 56, "(3, 1) - (3,)  →  (3, 3)", size=13), line((335, 18), (335, 214), colour=EDGE)]
    parts += tensor(390, 112, [[5], [7], [9]], BLUE) + tensor(440, 72, [[5, 7, 9]], ORANGE)
    table = [[p - t for t in (5, 7, 9)] for p in (5, 7, 9)]
    parts += tensor(440, 112, table, RED, marked={(i, i) for i in range(3)}, mark=GREEN)
    parts += [code(378, 162, "p"), code(546, 92, "t")]
    parts += legend(556, 146, [(GREEN, say("wanted", "想要的")), (RED, say("by accident", "意外得到的"))])
    return drawing(740, 232, say("A difference that broadcasts by accident", "意外广播的差"), parts)


def graph(say: Say) -> str:
    """The graph of a small loss: recorded on the way forward, walked on the way back."""
    parts = [
        text(22, 36, say("forward: recorded while you compute", "前向：一边计算一边记录"), anchor="start", bold=True)
    ]
    parts += node(40, 60, 130, ["x  [3., 4.]", say("no grad asked", "不需要梯度")], GREY)
    parts += node(40, 150, 130, ["w  [1., 2.]", say("leaf", "叶子")], BLUE)
    parts += node(300, 105, 140, ["y = w * x", "[3., 8.]"], GREEN) + node(
        580, 105, 140, ["loss = y.sum()", "11."], GREEN
    )
    parts += [arrow((170, 86), (298, 122)), arrow((170, 176), (298, 140)), arrow((440, 131), (578, 131))]
    parts += [line((20, 232), (740, 232), colour=EDGE)]
    parts += [text(22, 262, say("backward: walked from the end", "反向：从末端走回来"), anchor="start", bold=True)]
    parts += node(40, 300, 130, ["w.grad", "+= [3., 4.]"], BLUE) + node(
        300, 300, 140, ["MulBackward0"], PURPLE, height=52
    )
    parts += node(580, 300, 140, ["SumBackward0"], PURPLE, height=52)
    parts += [arrow((580, 326), (442, 326), colour=PURPLE), arrow((300, 326), (172, 326), colour=PURPLE)]
    parts += [
        code(511, 316, "[1., 1.]", colour=PURPLE, size=13),
        code(236, 316, "[1.*3, 1.*4]", colour=PURPLE, size=12),
    ]
    parts += [arrow((650, 392), (650, 354), colour=PURPLE)]
    parts += [code(636, 386, "1.", colour=PURPLE, size=13, anchor="end")]
    parts += [text(664, 386, say("the seed", "种子"), colour=PURPLE, size=13, anchor="start")]
    for centre in (370, 650):
        parts += [arrow((centre, 158), (centre, 298), colour=FAINT, dashed=True)]
        parts += [code(centre + 8, 218, ".grad_fn", colour=FAINT, size=13, anchor="start")]
    parts += [text(105, 376, say("x gets nothing", "x 什么也得不到"), colour=FAINT, size=13)]
    return drawing(760, 404, say("The autograd graph of a small loss", "一个小损失的自动求导图"), parts)


def cut(say: Say) -> str:
    """What detach and no_grad leave of the way back."""
    parts: list[str] = []
    for row, (call, words, whole) in enumerate(
        (
            ("z = y * 2", say("recorded: the way back leads to w", "被记录：可以走回 w"), True),
            ("z = y.detach() * 2", say("cut: the same numbers, no way back", "切断：数字相同，没有回路"), False),
            ("with torch.no_grad(): z = y * 2", say("nothing is recorded at all", "什么都不记录"), False),
        )
    ):
        top = 24 + 78 * row
        end = GREEN if whole else GREY
        parts += node(30, top, 60, ["w"], BLUE) + node(180, top, 60, ["y"], GREEN) + node(330, top, 60, ["z"], end)
        parts += [arrow((92, top + 10), (178, top + 10)), arrow((242, top + 10), (328, top + 10))]
        parts += [arrow((180, top + 25), (92, top + 25), colour=PURPLE)]
        if whole:
            parts += [arrow((330, top + 25), (242, top + 25), colour=PURPLE)]
        else:
            parts += [
                line((274, top + 17), (298, top + 35), colour=RED),
                line((298, top + 17), (274, top + 35), colour=RED),
            ]
        parts += [code(410, top + 14, call, anchor="start", size=13)]
        parts += [text(410, top + 34, words, anchor="start", colour=FAINT, size=13)]
    return drawing(740, 244, say("What detach and no_grad cut", "detach 与 no_grad 切断什么"), parts)


def memories(say: Say) -> str:
    """Tensors in the memories of three devices, and what moves them."""
    parts: list[str] = []
    for left, name in ((24, "cpu"), (272, "cuda:0"), (520, "cuda:1")):
        parts += [box(left, 44, 216, 150, fill="#ffffff", edge=GREY, corner=8), code(left + 108, 32, name)]
    parts += node(34, 64, 50, ["x"], BLUE)
    parts += node(356, 64, 60, ["y"], BLUE) + node(604, 140, 90, ["model"], ORANGE)
    parts += [box(44, 140, 90, 34, fill="#ffffff", edge=GREY, corner=6, dashed=True)]
    parts += [code(89, 162, "model", colour=GREY)]
    parts += [arrow((86, 81), (354, 81), colour=BLUE), arrow((136, 157), (602, 157), colour=ORANGE)]
    parts += [code(164, 72, 'y = x.to("cuda:0")', colour=BLUE, size=12)]
    parts += [text(164, 98, say("x stays, y is a copy", "x 留下，y 是副本"), colour=BLUE, size=12)]
    parts += [code(370, 148, 'model.to("cuda:1")', colour=ORANGE, size=12)]
    parts += [text(370, 174, say("the parameters themselves move", "参数自己搬走了"), colour=ORANGE, size=12)]
    parts += [code(60, 230, "x + y", anchor="start")]
    parts += [text(160, 230, say("error: cpu and cuda:0", "报错：cpu 与 cuda:0"), colour=RED, anchor="start")]
    parts += [code(400, 230, "x.to(y.device) + y", anchor="start")]
    parts += [text(570, 230, say("on cuda:0", "在 cuda:0 上"), colour=GREEN, anchor="start")]
    return drawing(
        760, 252, say("Three memories and what moves tensors between them", "三处内存，以及张量如何搬动"), parts
    )


def visible(say: Say) -> str:
    """The GPUs of a machine and the numbers they have in a program."""
    parts = [text(24, 66, say("the machine", "机器"), anchor="start", bold=True)]
    parts += [text(24, 190, say("the program", "程序"), anchor="start", bold=True)]
    for number in range(4):
        seen = number in (1, 3)
        parts += node(150 + 145 * number, 40, 100, [f"GPU {number}"], BLUE if seen else GREY, height=44)
    parts += node(295, 164, 100, ["cuda:0"], BLUE, height=44) + node(440, 164, 100, ["cuda:1"], BLUE, height=44)
    parts += [arrow((635, 86), (352, 162), colour=BLUE), arrow((345, 86), (482, 162), colour=BLUE)]
    parts += [code(20, 126, "CUDA_VISIBLE_DEVICES=3,1", anchor="start", size=13)]
    parts += [
        text(560, 190, say("0 and 2 do not exist here", "这里没有 0 和 2"), anchor="start", size=13, colour=FAINT)
    ]
    return drawing(760, 232, say("CUDA_VISIBLE_DEVICES numbers GPUs anew", "CUDA_VISIBLE_DEVICES 重新编号"), parts)


def scatter(say: Say) -> str:
    """One step of DataParallel on two devices: scatter, replicate, apply, gather."""
    steps = (say("scatter", "分发"), say("replicate", "复制"), say("apply", "并行计算"), say("gather", "收集"))
    parts = [text(x, 30, words, bold=True) for x, words in zip((170, 310, 450, 610), steps, strict=True)]
    for top, name in ((46, "cuda:0"), (196, "cuda:1")):
        parts += [box(96, top, 648, 132, fill="#ffffff", edge=GREY, corner=8)]
        parts += [code(744 - 10, top + 122, name, anchor="end", colour=FAINT, size=13)]
    parts += [text(45, 66, say("batch", "批次"), bold=True)]
    for number in range(6):
        colour = BLUE if number < 3 else ORANGE
        parts += [box(18, 78 + 18 * number, 54, 18, fill=TINTS[colour], edge=colour, corner=0)]
        parts += [
            box(143, (88 if number < 3 else 184) + 18 * number, 54, 18, fill=TINTS[colour], edge=colour, corner=0)
        ]
        parts += [box(583, 66 + 16 * number, 54, 16, fill=TINTS[colour], edge=colour, corner=0)]
    parts += [arrow((74, 106), (141, 114), colour=BLUE), arrow((74, 160), (141, 262), colour=ORANGE)]
    parts += node(260, 92, 100, [say("model", "模型")], PURPLE, height=46)
    parts += node(260, 242, 100, [say("replica", "副本")], PURPLE, height=46)
    parts += [arrow((310, 140), (310, 240), colour=PURPLE)]
    for top, colour, back in ((115, BLUE, 90), (265, ORANGE, 140)):
        parts += [arrow((199, top), (258, top), colour=colour), arrow((362, top), (418, top), colour=colour)]
        for number in range(3):
            edge_y = top - 24 + 16 * number
            parts += [box(420, edge_y, 54, 16, fill=TINTS[colour], edge=colour, corner=0)]
        parts += [arrow((476, top), (581, back), colour=colour)]
    parts += [text(690, 118, say("outputs", "输出"), size=13)]
    return drawing(764, 346, say("One forward pass of nn.DataParallel", "nn.DataParallel 的一次前向计算"), parts)


def ranks(say: Say) -> str:
    """One step of DistributedDataParallel in two processes, which meet once: when gradients are averaged."""
    heads = (say("its part of the data", "自己的那份数据"), say("forward, backward", "前向、反向"))
    heads += (say("average", "取平均"), say("the same step", "同样的一步"))
    parts = [text(x, 30, words, bold=True) for x, words in zip((150, 322, 478, 630), heads, strict=True)]
    for rank, (top, colour) in enumerate(((46, BLUE), (176, ORANGE))):
        parts += [box(20, top, 724, 104, fill="#ffffff", edge=GREY, corner=8)]
        parts += [text(32, top + 22, say(f"process {rank}", f"进程 {rank}"), anchor="start", size=13, colour=FAINT)]
        parts += tensor(108, top + 40, [["02", "13"][rank]], colour, cell=28)
        parts += [code(178, top + 59, "…", colour=colour)]
        parts += node(262, top + 30, 120, [say("model", "模型"), f"grad g{rank}"], colour, height=50)
        parts += node(432, top + 30, 100, ["(g0+g1)/2"], GREEN, height=50)
        parts += node(580, top + 30, 100, ["p -= lr*g"], GREEN, height=50)
        parts += [arrow((start, top + 55), (end, top + 55)) for start, end in ((192, 260), (384, 430), (534, 578))]
    parts += [arrow((482, 128), (482, 204), colour=GREEN), arrow((482, 204), (482, 128), colour=GREEN)]
    parts += [text(494, 168, "all-reduce", anchor="start", size=13, colour=GREEN)]
    return drawing(764, 300, say("One step of DistributedDataParallel", "DistributedDataParallel 的一步"), parts)


FIGURES: dict[str, tuple[Callable[[Say], str], ...]] = {
    "create": (shapes,),
    "operate": (strides, views),
    "broadcast": (rule, accident),
    "autograd": (graph, cut),
    "devices": (memories, visible),
    "parallel": (scatter, ranks),
}
"""The figures of each assignment; a file has the name of the function that draws it."""


def drawn() -> Iterator[tuple[Path, str]]:
    """Yield the file and the text of each figure in each language."""
    for assignment, draws in FIGURES.items():
        for draw in draws:
            for number, language in enumerate(LANGUAGES):
                file = ROOT / "assignments" / assignment / "figures" / f"{draw.__name__}.{language}.svg"
                yield file, draw(lambda *words, number=number: words[number])


if __name__ == "__main__":
    for file, content in drawn():
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")
