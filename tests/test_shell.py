from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.preprocessors import Execute

LIMIT = 1_000_000

# The zygote of these tests: it builds one shell, and runs each request's cells in a fork of itself.
ZYGOTE = """
import json, os, resource, sys, time
from pathlib import Path
from tensorgrade.shell import Shell

shell = Shell()
built = {
    "threads": len(os.listdir("/proc/self/task")),
    "torch": "torch" in sys.modules,
    "names": sorted(shell.namespace),
    "streams": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
}
Path(sys.argv[1]).write_text(json.dumps(built))


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(cells, limit):
    begin, memory = time.perf_counter(), peak()
    results = [vars(shell.run_cell(cell, output_limit=limit)) for cell in cells]
    return {"results": results, "seconds": time.perf_counter() - begin, "memory": peak() - memory}


def in_child(work):
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    shell.after_fork()
    work()
    os._exit(0)


def serve(request):
    reply = run(request["cells"], request["limit"])
    Path(request["reply"]).write_text(json.dumps(reply))
    if request["snapshot"]:
        in_child(lambda: Path(request["reply"]).write_text(json.dumps(run(request["snapshot"], request["limit"]))))
        Path(request["reply"] + ".after").write_text(json.dumps(run(request["after"], request["limit"])))


for line in sys.stdin:
    in_child(lambda: serve(json.loads(line)))
    print("served", flush=True)
"""

ONE_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

# Each notebook is one kernel; the cases of one follow on each other in it, as they do in ours.
VALUES: dict[str, tuple[str, ...]] = {
    "names in a fresh shell": (
        "print(sorted(globals()))",
        "In, Out, _, __, ___, _i, _dh == [__import__('pathlib').Path.cwd()]",
    ),
    "print and result": ("print('a')\nprint('b')\n1 + 1", "_, __, Out, In[-2], _i"),
    "empty, blank and comment cells": ("", "  \n\t", "# nothing here", "None", "pass"),
    "trailing semicolon": ("3;", "4 # ;", "5; # comment", "'a;'", "_"),
    "several expressions": ("1; 2\n3", "if True:\n    4", "x = 5;", "x = y = 6\nx"),
    "all expressions are shown": (
        "get_ipython().ast_node_interactivity = 'all'",
        "1\n2\nz = 3",
        "get_ipython().ast_node_interactivity = 'last_expr'",
    ),
    "long containers": (
        "list(range(2000))",
        "{i: 'x' * 30 for i in range(8)}",
        "{'b': 1, 'a': [set(), frozenset({1})]}",
    ),
    "stdout before stderr": ("import sys\nprint('a')\nprint('b', file=sys.stderr)\nprint('c')",),
    "flushed streams keep their order": (
        "print('a', flush=True)\nprint('b', file=sys.stderr, flush=True)\nprint('c', flush=True)",
    ),
    "old text is published by its age": (
        "import time\nprint('a', file=sys.stderr)\ntime.sleep(0.5)\nprint('b')\ntime.sleep(0.5)\nprint('c', file=sys.stderr)",
    ),
    "streams between displays": ("from IPython.display import *\nprint('a')\ndisplay(1)\nprint('b')\n2",),
    "the interface of the streams": (
        "out = sys.stdout\nprint(type(out).__name__, out.name, out.encoding, out.errors, out.isatty(), out.closed)\n"
        "print(out.writable(), out.readable(), out.seekable(), isinstance(out.fileno(), int), out.line_buffering "
        "if hasattr(out, 'line_buffering') else 'no', out.write('abc'), out.writelines(['d', 'e']))",
        "sys.stdout.buffer",
        "sys.stdout.read()",
        "sys.stderr.reconfigure(encoding='ascii')",
    ),
    "carriage returns and escapes stay": ("print('10%\\r20%', end='\\r')\nprint('\\x1b[31mred\\x1b[0m\\b\\x00')",),
    "redirected and replaced streams": (
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as text:\n    print('a')\nprint(repr(text.getvalue()))",
        "kept = sys.stdout\nsys.stdout = io.StringIO()\nprint('lost')",
        "print('lost too')\n1",
        "sys.stdout = kept",
        "print('back')",
    ),
    "escaped bytes and wide characters": ("print('\\udc80 é 漢字 😀')\n'\\udcff'",),
    "rich representations": (
        "class Rich:\n"
        "    def _repr_html_(self): return '<b>é</b>'\n"
        "    def _repr_markdown_(self): return '**b**', {'m': 1}\n"
        "    def _repr_latex_(self): return '$x$'\n"
        "    def _repr_json_(self): return {'a': [1, None, True]}\n"
        f"    def _repr_png_(self): return __import__('base64').b64decode('{ONE_PIXEL}')\n"
        "    def _repr_svg_(self): return '<svg></svg>'\n"
        "    def _repr_jpeg_(self): return None\n"
        "    def __repr__(self): return 'rich'\n"
        "Rich()",
        "display(Rich(), Rich(), include=['text/html'])\ndisplay(Rich(), exclude=['text/html'], metadata={'k': 'v'})",
    ),
    "mime bundles": (
        "class Bundle:\n"
        "    def _repr_mimebundle_(self, include=None, exclude=None):\n"
        "        return {'text/plain': 'plain', 'application/vnd.x+json': {'a': 1.5}, 'image/png': b'raw'}, {'image/png': {'width': 2}}\n"
        "Bundle()",
        "class Own:\n    def _ipython_display_(self): print('I show myself')\nOwn()",
        "display(Own())",
    ),
    "display objects": (
        "display(HTML('<i>x</i>'), Markdown('# x'), Latex('$x$'), Math('x'), JSON({'a': [1, {}]}), SVG('<svg></svg>'))",
        f"Image(data=__import__('base64').b64decode('{ONE_PIXEL}'), width=3)",
        "Javascript('1')",
        "display(IFrame('http://x', 1, 2), FileLink('missing'), Code('x = 1'))",
        "display({'text/plain': 'raw', 'application/json': {'x': [1]}}, raw=True, metadata={'a': 1})",
        "display()\ndisplay({'a': 1}, [1], None, 'text')",
    ),
    "values that are no JSON": (
        "display({'text/plain': 'x', 'application/json': {'a': float('nan'), 'b': {1}}}, raw=True)",
    ),
    "display handles": (
        "a = display('one', display_id='a')\nb = display('two', display_id=True)\na.update('three')\na.display('four')\nprint(a.display_id)",
        "display('five', display_id='b')\ndisplay('six', display_id='b')\nupdate_display('seven', display_id='b')",
        "update_display('nothing to update', display_id='unknown')",
        "h = DisplayHandle()\nh.display('x')\nfor i in range(3): h.update(HTML(str(i)))",
    ),
    "clear_output": (
        "print('a')\ndisplay('b', display_id='c')\nclear_output()\nprint('d')\nupdate_display('e', display_id='c')",
        "for i in range(3):\n    clear_output(wait=True)\n    print(i)",
        "print('stays')\nclear_output(wait=True)",
        "print('gone')\nclear_output()",
    ),
    "progress bar": ("for _ in ProgressBar(2): pass",),
    "failing representations": (
        "class Bad:\n    def __repr__(self): raise ValueError('no repr')\nBad()",
        "print('the next cell runs')",
        "display(Bad())\nprint('goes on')",
        "class Half:\n    def _repr_html_(self): raise ValueError('no html')\n    def __repr__(self): return 'half'\nHalf()",
        "class Odd:\n    def _repr_html_(self): return 3\n    def __repr__(self): return 'odd'\nOdd()",
        "class NotText:\n    def __repr__(self): return 3\nNotText()",
    ),
    "an underscore of one's own": ("_ = 'mine'\n5", "_", "del _", "6", "_"),
    "deleted names": ("gone = 1\ndel gone", "gone", "print"),
    "the shell's class": (
        "ip = get_ipython()\nprint(type(ip), type(ip).__name__, ip.__class__.__module__, hasattr(ip, 'kernel'))",
        "from IPython import get_ipython as again\nprint(again() is ip, ip.user_ns is globals(), ip.execution_count)",
        "ip.config.keys() & {'IPKernelApp'}, ip.get_parent()['header']['msg_type'], __name__, sys.modules['__main__'].ip is ip",
        "[os.environ[name] for os in [__import__('os')] for name in ('TERM', 'PAGER', 'FORCE_COLOR', 'MPLBACKEND')]",
    ),
    "threads that print": (
        "import threading\nthread = threading.Thread(target=lambda: (print('in a thread'), display('shown')))\nthread.start()\nthread.join()\nprint('done')",
        "thread = threading.Thread(target=lambda: (time.sleep(0.1), print('late')))\nthread.start()",
        "time.sleep(0.3)\nprint('next')",
    ),
    "top-level await": (
        "import asyncio\nawait asyncio.sleep(0.01, 'slept')",
        "async def numbers():\n    for i in range(3):\n        await asyncio.sleep(0)\n        yield i\n[i async for i in numbers()]",
        "async for i in numbers():\n    print(i)",
        "class Manager:\n    async def __aenter__(self): print('in'); return self\n    async def __aexit__(self, *e): print('out'); return True\n"
        "async with Manager() as m:\n    1 / 0",
        "numbers().__class__, asyncio.get_running_loop().is_running()",
    ),
    "tasks live on between cells": (
        "async def work():\n    await asyncio.sleep(0)\n    return 'worked'\ntask = asyncio.create_task(work())",
        "task.done(), await task",
        "async def noisy():\n    print('first')\n    await asyncio.sleep(0)\n    print('dropped')\nkept_task = asyncio.ensure_future(noisy())\nprint('cell')",
        "await kept_task\nprint('after')",
    ),
    "asyncio.run in a running loop": (
        "nap = asyncio.sleep(0)\nasyncio.run(nap)",
        "asyncio.get_event_loop().run_until_complete(nap)",
        "await nap",
        "await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))",
    ),
    "hooks around a cell": (
        "def before(info): print('before', info.raw_cell)\ndef after(result): print('after', result.result, result.success)\n"
        "ip.events.register('pre_run_cell', before); ip.events.register('post_run_cell', after)",
        "'hooked'",
        "await asyncio.sleep(0, 'hooked and awaited')",
        "1 /",
        "ip.events.unregister('pre_run_cell', before); ip.events.unregister('post_run_cell', after)",
        "def bad(info): raise ValueError('in a hook')\nip.events.register('pre_run_cell', bad)",
        "'still runs'",
        "ip.events.unregister('pre_run_cell', bad)",
    ),
    "input transformers": (
        "def shout(lines): return [line.replace('whisper', 'SHOUT') for line in lines]\nip.input_transformers_cleanup.append(shout)",
        "print('whisper')",
        "ip.input_transformers_cleanup.remove(shout)",
        "def fail(lines):\n    if lines[0].startswith('f' + 'ail'): raise RuntimeError('no such input')\n    return lines\nip.input_transformers_cleanup.append(fail)",
        "fail",
        "2",
        "ip.input_transformers_cleanup.remove(fail)",
    ),
    "futures and docstrings": (
        "from __future__ import annotations",
        "def f(x: undefined): 'doc'\nf.__annotations__, f.__doc__",
    ),
    "a new counter": ("ip.execution_count = 200", "'two hundred'"),
}

ERRORS: dict[str, tuple[str, ...]] = {
    "uncaught error in nested calls": (
        "def f(x):\n    return 1 / x\ndef g():\n    return f(0)",
        "print('before')\ng()",
        "print('after')",
    ),
    "syntax errors": (
        "1 +",
        "def f(:\n    pass",
        "  indented = 1\n wrong = 2",
        "if True:\nx = 1",
        "print 'x'",
        "'unterminated",
        "return 1",
        "\0",
    ),
    "syntax error in evaluated text": ("exec('1 +')", "import ast; ast.parse('(')"),
    "chained errors": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('cause') from error",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise ValueError('context')",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise ValueError('alone') from None",
    ),
    "notes and long messages": (
        "error = ValueError('line one\\nline two \\x1b[31m')\nerror.add_note('a note')\nraise error",
        "raise ValueError('é' * 300)",
        "assert [1, 2] == [1, 3], 'not equal'",
        "raise KeyError('key')",
        "raise StopIteration",
    ),
    "error groups": (
        "raise ExceptionGroup('several', [ValueError(1), ExceptionGroup('inner', [TypeError('x')])])",
        "try:\n    raise ExceptionGroup('several', [ValueError(1)])\nexcept* ValueError as group:\n    print(group.exceptions)",
        "import asyncio\nasync with asyncio.TaskGroup() as tasks:\n    tasks.create_task(asyncio.sleep(0))\n    raise ValueError('in a task group')",
    ),
    "errors whose text fails": (
        "class Mute(Exception):\n    def __str__(self): raise RuntimeError('no text')\nraise Mute()",
        "class Vague(Exception):\n    __str__ = None\nraise Vague()",
        "print('the next cell runs')",
    ),
    "a lone surrogate in an error": ("raise ValueError('\\ud800')", "'next'"),
    "errors with a traceback of their own": (
        "class Own(Exception):\n    def _render_traceback_(self): return ['my own', 'traceback']\nraise Own('x')",
        "class Broken(Exception):\n    def _render_traceback_(self): raise ValueError('broken')\nraise Broken('x')",
    ),
    "deep recursion": ("def down(n): return down(n + 1)\ndown(0)", "'next'"),
    "leaving": ("import sys\nsys.exit()", "sys.exit('a message')", "raise SystemExit(3)", "'next'"),
    "other base exceptions": (
        "raise KeyboardInterrupt",
        "raise GeneratorExit('x')",
        "class B(BaseException): pass\nraise B('base')",
        "'next'",
    ),
    "an interrupt": ("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(1)", "'next'"),
    "no input": ("input()", "input('name? ')", "import getpass\ngetpass.getpass('secret? ')", "sys.stdin.read()"),
    "breakpoints": ("def stop():\n    breakpoint()\n    return 1\nstop()", "import pdb; pdb.set_trace()", "'next'"),
    "a debugger after the error": ("{}['x']", "%debug", "'next'"),
    "errors in await": (
        "import asyncio\nasync def fail():\n    await asyncio.sleep(0)\n    raise ValueError('awaited')\nawait fail()",
        "await asyncio.wait_for(asyncio.sleep(1), 0.01)",
        "task = asyncio.create_task(fail())\nawait asyncio.gather(task, return_exceptions=True)",
        "await 3",
        "raise asyncio.CancelledError('x') if await asyncio.sleep(0) is None else 0",
        "async def leave(): sys.exit(2)\nawait leave()",
    ),
    "shown by hand": (
        "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()",
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()\nprint('ok all the same')",
        "sys.excepthook(ValueError, ValueError('by hand'), None)",
        "get_ipython().showtraceback()",
    ),
    "a handler of one's own": (
        "def handle(shell, etype, value, tb, tb_offset=None): print('handled', value)\nget_ipython().set_custom_exc((LookupError,), handle)",
        "[][1]",
        "1 / 0",
        "def worse(shell, etype, value, tb, tb_offset=None): raise RuntimeError('in the handler')\nget_ipython().set_custom_exc((LookupError,), worse)",
        "[][1]",
        "get_ipython().set_custom_exc((), None)",
    ),
    "traceback disabled": (
        "shown = get_ipython()._showtraceback\nget_ipython()._showtraceback = lambda *a: None",
        "1 / 0",
        "get_ipython()._showtraceback = shown",
    ),
    "traceback styles": (
        "%xmode Plain\n1 / 0",
        "1 / 0",
        "%xmode Verbose",
        "v = 1\nv / 0",
        "%xmode Minimal\n1 / 0",
        "1 / 0",
        "%xmode Context",
        "%tb",
    ),
    "errors below the standard library": (
        "import json\njson.loads('{')",
        "import nowhere_at_all",
        "from os import nothing",
        "os.listdir('/nowhere')",
    ),
    "errors of a module beside the notebook": (
        "%%writefile besides.py\ndef fail():\n    raise ValueError('in a module')",
        "import besides\nbesides.fail()",
        "%run besides.py\nfail()",
        "os.remove('besides.py')",
    ),
    "warnings": (
        "import warnings\nwarnings.warn('a warning')\nwarnings.warn('old', DeprecationWarning)",
        "def w(): warnings.warn('in a function', RuntimeWarning)\nw(); w()",
        "warnings.warn_explicit('explicit', UserWarning, 'file.py', 3)",
        "lambda: 1 is 1",
        "'\\d'",
    ),
    "logging": (
        "import logging\nlogging.warning('a warning')\nlogging.info('quiet')",
        "logger = logging.getLogger('mine')\nhandler = logging.StreamHandler(sys.stdout)\nlogger.addHandler(handler)\nlogger.propagate = False\nlogger.error('to stdout')",
        "logger.error('by the stream of an earlier cell')\nlogger.exception('no error')",
    ),
    "errors nobody caught": (
        "import threading\nthread = threading.Thread(target=lambda: 1 / 0, name='worker')\nthread.start()\nthread.join()",
        "class Fragile:\n    def __del__(self): raise ValueError('while deleting')\nfragile = Fragile()\ndel fragile",
    ),
    "a file object's misuse": ("open('/nowhere/at/all')", "with open(os.devnull) as file: file.write('x')"),
    "a stream that was closed": ("sys.stderr.close()\ntry: print('x', file=sys.stderr)\nexcept ValueError as error: print(error)", "print('fine')"),
}

MAGICS: dict[str, tuple[str, ...]] = {
    "time": ("%time sum(range(10))", "%%time\nx = 1\nx", "%%time\n1 / 0", "%time x = 2"),
    "timeit": (
        "%timeit -n2 -r2 pass",
        "%%timeit -n1 -r1 x = 1\nx + 1",
        "r = %timeit -o -q -n1 -r1 pass\ntype(r)",
        "%timeit 1 / 0",
    ),
    "capture": (
        "%%capture seen\nimport sys\nprint('out'); print('err', file=sys.stderr)\ndisplay('shown')\n5",
        "print(repr(seen.stdout), repr(seen.stderr), len(seen.outputs))\nseen.show()",
        "%%capture\n1 / 0",
        "%%capture --no-stderr\nprint('hidden'); print('visible', file=sys.stderr)",
    ),
    "files": (
        "import os, tempfile\nos.chdir(tempfile.mkdtemp())",
        "%%writefile made.py\nmade = 'yes'\nprint('running')",
        "%%writefile -a made.py\nprint(__name__)",
        "%run made.py\nmade",
        "%cat made.py",
        "%pycat made.py",
        "%load made.py",
        "%less made.py",
        "%%writefile /nowhere/made.py\nx",
        "%run missing.py",
    ),
    "shell commands": (
        "!echo hi",
        "lines = !printf 'a\\nb\\n'\nlines",
        "!echo err >&2; exit 3",
        "_exit_code",
        "value = 'v'\n!echo {value} $value",
        "!sleep 0 &",
    ),
    "scripts": (
        "%%bash\necho out\necho err >&2",
        "%%sh --out text\necho kept",
        "text",
        "%%script false\n",
        "%%python\nprint(1 + 1)",
    ),
    "lists of names": ("number, text = 1, 't'", "%who_ls int", "%who str", "%whos int", "%psearch numb*"),
    "help": ("len?", "?len", "len??", "nothing_of_this_name?", "%time?", "%quickref", "help(len)"),
    "magics that do not exist": (
        "%nothing",
        "%%nothing\nx",
        "%time_it 3",
        "%%time_it\n3",
        "%load_ext nothing_of_this_name",
    ),
    "magics misused": ("%%writefile\nx", "%cd /nowhere/at/all", "%run", "%config Nothing.x = 1", "%timeit -z 3"),
    "matplotlib": ("%matplotlib inline", "%matplotlib nothing", "%pylab", "import matplotlib"),
    "notebook markup": (
        "%%html\n<b>x</b>",
        "%%javascript\nalert(1)",
        "%%latex\n$x$",
        "%%markdown\n# x",
        "%%svg\n<svg></svg>",
    ),
    "places": (
        "%cd -q /",
        "%pwd",
        "%cd /tmp",
        "%env NOTHING=1",
        "%env NOTHING",
        "import os; os.environ['NOTHING']",
        "%dhist",
    ),
    "settings": (
        "%precision 3",
        "3.14159",
        "%precision",
        "%pprint",
        "[1, 2]",
        "%pprint",
        "%autoawait",
        "%automagic",
        "%colors nocolor",
        "%colors neutral",
    ),
    "history": (
        "%history -n 1-2",
        "In[1][:5], len(In) > 5, _i",
        "%recall 1",
        "%macro again 2",
        "%rerun 3-4",
        "_i1[:5]",
    ),
    "automagic and autocall": ("pwd", "len 'abc'", "/len 'abc'", ",len a"),
    "aliases": ("%alias say echo said %s", "say it", "%unalias say", "%lsmagic"),
    "a profile": ("%prun -q pass", "%%prun -q\npass", "%%prun -q -s calls -r\npass"),
    "autosave and other front ends": (
        "%autosave 60",
        "%autosave x",
        "%notebook",
        "%edit 1",
    ),
    "pip": ("%pip --version", "!pip --version"),
    "store": ("%store", "stored = 1\n%store -z"),
    "gui": ("%gui", "%gui nothing"),
    "unset names": (
        "first = 1; second = 2\n%xdel first\n%reset_selective -f second",
        "first",
        "%reset -f out",
        "Out",
        "%reset -f in",
        "%reset -f",
        "print(sorted(globals()))",
        "1",
    ),
    "asking for the next input": ("get_ipython().set_next_input('x')", "%macro", "%page 1"),
    "leaving by name": ("quit",),
}

NOTEBOOKS = {"values": VALUES, "errors": ERRORS, "magics": MAGICS}
CASES = [(notebook, case) for notebook, cases in NOTEBOOKS.items() for case in cases]

VOLATILE = (
    (r"0x[0-9a-f]{6,}|(?<=object at )[0-9a-f]{6,}", "ADDRESS"),
    (r"ipykernel_\d+", "ipykernel_PID"),
    (r"/tmp/(tmp|ipython_edit_)\w+(/ipython_edit_\w+)?", "/tmp/TEMPORARY"),
    (r"\b\d+(\.\d+)?(e\+\d+)? ?(ns|[µμ]s|us|ms|s)\b", "TIME"),
    (r"(user|sys|total): TIME", r"\1: TIME"),
    (r"\b[0-9a-f]{32}\b", "DISPLAY-ID"),
    (r"\d\.\d{3} seconds", "TIME seconds"),
)


class RecordingExecute(Execute):
    """nbgrader's own preprocessor, which also keeps whether the kernel replied "ok"."""

    def on_cell_executed(self, **kwargs):
        super().on_cell_executed(**kwargs)
        kwargs["cell"].metadata["ok"] = kwargs["execute_reply"]["content"]["status"] == "ok"


def run_in_kernel(cells: tuple[str, ...], folder: Path) -> list[dict[str, Any]]:
    """The results of the cells in a real kernel, run as nbgrader runs it."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    arguments = ["--HistoryManager.hist_file=:memory:"]
    RecordingExecute(kernel_name="python3", extra_arguments=arguments).preprocess(
        notebook, {"metadata": {"path": str(folder)}}
    )
    return [
        {"outputs": cell.outputs, "ok": cell.metadata.get("ok", True), "execution_count": cell.execution_count}
        for cell in notebook.cells
    ]


def normalised(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results without what differs from run to run; adjacent text of one stream is merged, as by a front end."""
    return [{**result, "outputs": [_steady(output) for output in _merged(result["outputs"])]} for result in results]


def _merged(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged: list[dict[str, Any]] = []
    for output in outputs:
        if merged and output["output_type"] == "stream" and output["name"] == merged[-1].get("name"):
            merged[-1]["text"] += output["text"]
        else:
            merged.append(dict(output))
    return merged


def _steady(output: dict[str, Any]) -> dict[str, Any]:
    if "traceback" in output:  # how often a frame recurs depends on the depth at which the cell is run
        output = {**output, "traceback": [frame for frame, _ in itertools.groupby(output["traceback"])]}
    text = json.dumps(output, ensure_ascii=False)
    for pattern, replacement in VOLATILE:
        text = re.sub(pattern, replacement, text)
    return json.loads(text)


@dataclass(frozen=True)
class Served:
    """What a fork of the zygote answered: the results, and what running the cells took."""

    results: list[dict[str, Any]]
    seconds: float
    memory: int

    @property
    def outputs(self) -> list[list[dict[str, Any]]]:
        return [result["outputs"] for result in self.results]


class Zygote:
    """A process that holds a warm shell and runs each list of cells in a fork of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            # as jupyter starts a kernel: without frozen modules, whose tracebacks would have no source
            [sys.executable, "-Xfrozen_modules=off", "-c", ZYGOTE, str(folder / "built")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment,
        )

    def run(self, *cells: str, limit: int = LIMIT) -> Served:
        return self.run_with_snapshot(cells, (), (), limit)[0]

    def run_with_snapshot(
        self, cells: Sequence[str], snapshot: Sequence[str], after: Sequence[str], limit: int = LIMIT
    ) -> list[Served]:
        """Run cells, then others in a fork of that process, then others in the process itself."""
        replies = [self.folder / f"{phase}.json" for phase in ("cells", "snapshot", "after")]
        request = {"phases": [cells, snapshot, after], "limit": limit, "replies": list(map(str, replies))}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        while (line := self.process.stdout.readline()) != "served\n":
            assert line, "the zygote is gone"
            self.printed.append(line)
        return [Served(**json.loads(reply.read_text())) for reply in replies]
