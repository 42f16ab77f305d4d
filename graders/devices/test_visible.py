"""devices/visible: CUDA_VISIBLE_DEVICES in an environment, and on a line for the shell."""

import re

from tensorgrade import expect

from .shell_line import Shell

NAME = "CUDA_VISIBLE_DEVICES"
GPUS = [[0], [2], [0, 2], [2, 0], [3, 1, 0, 2], [10, 7], []]
ENVIRONMENTS = [{}, {"HOME": "/home/me", "PATH": "/usr/bin", "EMPTY": ""}, {NAME: "5,6", "LANG": "C"}]


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


def test_env(submission):
    for (_, gpus), attempt in zip(CASES, submission.calls("visible_env", CASES), strict=True):
        env = attempt.returned()
        expect(env).has_type(dict)
        expect(env.get(NAME), "value of CUDA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES 的值").has_type(str)
        expect(visible(env[NAME]), "list of visible GPUs", "可见 GPU 的列表").equals(gpus)


def test_others(submission):
    for (env, _), attempt in zip(CASES, submission.calls("visible_env", CASES), strict=True):
        expect(attempt).leaves_arguments().has_type(dict)
        kept = {name: attempt.value.get(name) for name in env if name != NAME}
        wanted = {name: value for name, value in env.items() if name != NAME}
        expect(kept, "rest of the environment", "其余环境变量").equals(wanted)


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
    except ValueError:
        return []
    return [(["python" if words[0] == "python3" else words[0], *words[1:]], env) for words, env in shell.runs]
