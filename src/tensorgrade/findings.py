"""Findings: what a student is told about an answer that fails a clause, in both languages.

Trusted side. A finding states what was observed of the student's own answer and what kind of thing is wrong. Its
sentence never holds an input, an expected value, or text that student code could have made up to carry those out (an
exception's message, the name of a class of its own): those are evidence, which a student sees from some level on.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from .diagnosis.sentences import SENTENCES
from .evidence import Evidence, TracedLine
from .exercise import Text

_PUBLIC_LIBRARIES = {"builtins", "torch", "collections", "numpy", "numbers", "decimal", "fractions", "json", "pickle"}


@dataclass(frozen=True)
class Finding:
    """One sentence for the student.

    Attributes:
        code: a stable name of the kind of finding, for example ``"dtype"``.
        text: the sentence, in both languages.
        detail: subject, got and expected, for the author alone.
        trace: the lines of the student's code that an exception passed, outermost first.
        evidence: what this was concluded from.
    """

    code: str
    text: Text
    detail: str = field(default="", compare=False)
    trace: tuple[TracedLine, ...] = field(default=(), compare=False)
    evidence: Evidence | None = field(default=None, compare=False)


class Mismatch(AssertionError):
    """An answer that fails a clause.

    Attributes:
        finding: what is told.
        about: the observation that it is about, by which the call is found that gave it; or None.
    """

    def __init__(self, finding: Finding, about: object = None) -> None:
        super().__init__(f"{finding.text.en} {finding.detail}".strip())
        self.finding = finding
        self.about = about


class Misconception(Mismatch):
    """A finding in a grader's own words, for what only this exercise can know: raise it to fail the clause.

    The sentence is shown whenever findings are, so it must tell nothing of an input or an expected value. `about`, an
    observation or an attempt, says which call it is about: that is shown from the level `case` on.
    """

    def __init__(self, english: str, chinese: str, about: object = None) -> None:
        super().__init__(Finding("misconception", Text(en=english, zh=chinese), evidence=Evidence()), about)


def finding(code: str, detail: str = "", **facts: str) -> Finding:
    """Return the finding `code` with `facts` put into its sentences."""
    english, chinese = _SENTENCES[code]
    return Finding(code, Text(en=english.format(**facts), zh=chinese.format(**facts)), detail)


def public_type(name: str) -> str:
    """The name of a type as a student may see it: anything but a real type of a public library is "an object"."""
    module, _, kind = name.rpartition(".")
    public = (module or "builtins").split(".")[0] in _PUBLIC_LIBRARIES
    library = sys.modules.get(module or "builtins") if public else None
    return kind if library is not None and isinstance(vars(library).get(kind), type) else "object"


def public_error(types: tuple[str, ...]) -> str:
    """The most specific public name among an exception's types, its own first."""
    return next((public_type(name) for name in types if public_type(name) != "object"), "Exception")


_SENTENCES: dict[str, tuple[str, str]] = {
    **SENTENCES,
    "undefined": (
        "`{name}` is not defined: run the cells from top to bottom and check the name.",
        "没有定义 `{name}`：请从上到下运行所有单元格，并检查名称。",
    ),
    "raised": (
        "`{name}` raised {error} for an input that it must accept.",
        "`{name}` 对一个合法的输入抛出了 {error}。",
    ),
    "not-raised": (
        "`{name}` accepted an input for which it must raise {error}.",
        "`{name}` 接受了一个应当抛出 {error} 的输入。",
    ),
    "wrong-error": (
        "`{name}` raised {got} where {error} is asked for.",
        "`{name}` 抛出了 {got}，而要求抛出的是 {error}。",
    ),
    "probe-raised": (
        "Using the answer raised {error}.",
        "使用该答案时抛出了 {error}。",
    ),
    "not-same": (
        "The {subject} is another object than the one that was passed in.",
        "{subject_zh}不是传入的那个对象本身。",
    ),
    "argument": (
        "An argument was changed: its {aspect}.",
        "参数被改变了：{aspect_zh}。",
    ),
    "grows": (
        "The Python work grows with the size of the input: is there a loop, a comprehension or a `map`?",
        "Python 层面的工作量随输入大小增长：是否用了循环、推导式或 `map`？",
    ),
    "check": (
        "This is not fulfilled.",
        "这一条没有满足。",
    ),
    "time-limit": (
        "It ran longer than the limit of {seconds} s.",
        "运行时间超过了 {seconds} 秒的限制。",
    ),
    "limit-memory": (
        "It needed more memory than the limit of {limit}.",
        "所需内存超过了 {limit} 的限制。",
    ),
    "limit-cpu_seconds": (
        "It used more processor time than the limit of {limit}.",
        "所用处理器时间超过了 {limit} 的限制。",
    ),
    "limit-processes": (
        "It started more processes and threads than the limit of {limit}.",
        "启动的进程和线程数超过了 {limit} 的限制。",
    ),
    "limit-disk": (
        "It wrote more, or more files, than the limit of {limit}.",
        "写入的数据或文件数超过了 {limit} 的限制。",
    ),
    "limit-files": (
        "It made more files than the limit of {limit}.",
        "创建的文件数超过了 {limit} 的限制。",
    ),
    "limit-result": (
        "It returned more than the limit of {limit}.",
        "返回的数据超过了 {limit} 的限制。",
    ),
    "ended": (
        "The Python process ended while this was checked (a crash, an exit, or too much memory).",
        "检查这一条时 Python 进程结束了（崩溃、退出或内存不足）。",
    ),
    "rank-hung": (
        "A rank did not finish in time: it hangs, or waits for another one that does not do the same.",
        "有一个 rank 没有按时完成：它卡住了，或在等待另一个没有执行相同操作的 rank。",
    ),
    "rank-ended": (
        "The Python process of a rank ended while it was working (a crash, an exit, or too much memory).",
        "某个 rank 的 Python 进程在工作时结束了（崩溃、退出或内存不足）。",
    ),
    "cell-time-limit": (
        "This cell ran longer than the limit of {seconds} s and was stopped.",
        "此单元格的运行时间超过了 {seconds} 秒的限制，已被终止。",
    ),
    "cell-ended": (
        "The Python process ended in this cell (a crash, an exit, or too much memory). The other cells were run in a"
        " new one.",
        "Python 进程在此单元格中结束（崩溃、退出或内存不足）。其余单元格在新的进程中运行。",
    ),
    "cell-not-run": (
        "This cell was not run: the notebook used up its time, or its process ended too often.",
        "此单元格没有运行：笔记本用完了时间，或其进程结束的次数过多。",
    ),
    "cell-lost": (
        "The test cell of this exercise is missing from the notebook. Please take it from the released one as it is"
        " and hand in again.",
        "笔记本中缺少本题的测试单元格。请从发布的笔记本中复制该单元格（不要改动），然后重新提交。",
    ),
    "notebook-missing": (
        "The notebook of this assignment was not handed in, or has another name than the released one.",
        "没有提交本次作业的笔记本，或文件名与发布的笔记本不同。",
    ),
    "notebook-unreadable": (
        "The notebook that was handed in cannot be read: the file is damaged or is not a notebook.",
        "提交的笔记本无法读取：文件已损坏，或不是笔记本。",
    ),
    "notebook-too-large": (
        "The notebook that was handed in is too large to be graded: clear its outputs, remove large data, and hand in"
        " again.",
        "提交的笔记本过大，无法评分：请清除输出并删除大块数据，然后重新提交。",
    ),
    "not-graded": (
        "This could not be graded automatically. A person will look at it.",
        "无法自动评分，将由老师人工查看。",
    ),
    "protocol": (
        "The answer sent something that is not a result.",
        "该答案发回的内容不是一个结果。",
    ),
}
