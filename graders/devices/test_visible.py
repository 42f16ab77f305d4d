"""devices/visible: CUDA_VISIBLE_DEVICES in an environment, and on a line for the shell."""

import posixpath
import re

from tensorgrade import expect
from tensorgrade.observation import ObservedObject

from .shell_line import Shell

NAME = "CUDA_VISIBLE_DEVICES"
OF_GPUS = re.compile("CUDA_.*|.*_VISIBLE_DEVICES")
GPUS = [[0], [2], [0, 2], [2, 0], [3, 1, 0, 2], [10, 7], []]
ENVIRONMENTS = [
    {},
    {"HOME": "/home/me", "PATH": "/usr/bin", "EMPTY": "", "CUDA_HOME": "/usr/local/cuda"},
    {"LANG": "C", NAME: "5,6", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
]


def visible(value):
    """The GPUs that CUDA takes from the variable: the list ends at the first entry that is no number.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#cuda-environment-variables
    """
    gpus = []
    for entry in value.split(","):
        number = re.fullmatch(r"\s*\+?(\d+)\s*", entry)
        if number is None:
            break
        gpus.append(int(number[1]))
    return gpus


CASES = [(env, gpus) for env in ENVIRONMENTS for gpus in GPUS]


def environments(submission, cases):
    """The attempts, and the dicts that they returned, of whatever kind of dict."""
    for case, attempt in zip(cases, submission.calls("visible_env", cases), strict=True):
        value = attempt.returned()
        value = value.items if isinstance(value, ObservedObject) else value
        expect(value).has_type(dict)
        yield case, attempt, value


def test_env(submission):
    for (_, gpus), _, env in environments(submission, CASES):
        expect(env.get(NAME), "value of CUDA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES 的值").has_type(str)
        expect(visible(env[NAME]), "list of visible GPUs", "可见 GPU 的列表").equals(gpus)


def is_new(student, env, gpus):
    """Whether the result is another dict than `env`."""
    return student.visible_env(env, gpus) is not env


def test_others(submission):
    for (before, _), attempt, env in environments(
        submission, [(env, gpus) for env in ENVIRONMENTS for gpus in GPUS[-2:]]
    ):
        expect(attempt).leaves_arguments()
        # what tells CUDA more, or chooses GPUs by another name, may be added; a wrong name is a mistake of `env`
        wanted = {name: value for name, value in before.items() if name != NAME}
        expect({name: env.get(name) for name in wanted}, "rest of the environment", "其余环境变量").equals(wanted)
        added = [name for name in env if name not in before and not OF_GPUS.fullmatch(str(name))]
        expect(added, "list of other variables that are new", "新增的其他变量").equals([])
    expect(submission.run(is_new, {NAME: "2"}, [2]), "new dict", "新字典").equals(True)


SCRIPTS = ["train.py", "experiments/run-2.py", "/home/me/main.py"]
LAUNCHES = [(script, gpus) for script in SCRIPTS for gpus in GPUS]


def test_command(submission):
    for (script, gpus), attempt in zip(LAUNCHES, submission.calls("launch_command", LAUNCHES), strict=True):
        expect(attempt).has_type(str)
        runs = runs_of(attempt.value)
        expect([words for words, _ in runs], "command", "命令").equals([["python", script]])
        expect(visible(runs[0][1].get(NAME, "none")), "list of visible GPUs", "可见 GPU 的列表").equals(gpus)
        expect(NAME in runs[0][1], "CUDA_VISIBLE_DEVICES on the line", "命令中的 CUDA_VISIBLE_DEVICES").equals(True)


def runs_of(line):
    """The programs that a line runs, each with its environment; none for a line that cannot be understood."""
    shell = Shell()
    try:
        shell.read(line)
    except (ValueError, RecursionError):
        return []
    return [(python(words), environment) for words, environment in shell.runs]


def python(words):
    """The words of a command, with Python by its plain name and without options that change nothing for a script."""
    if not re.fullmatch(r"(/[\w./-]+/)?python(3(\.\d+)?)?", words[0]):
        return words
    rest = words[1:]
    while rest and rest[0] in ("-u", "-B", "--"):
        rest = rest[1:]
    return ["python", *(posixpath.normpath(word) for word in rest)]
