"""Specification of the shell that runs cells, by comparing it with real kernels and by what it must withstand."""

# ruff: noqa: E501 - a cell is one string, however long its lines

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.preprocessors import Execute

LIMIT = 1_000_000

# The zygote of these tests: it builds one shell, and runs each request in a fork of itself.
ZYGOTE = """
import json, os, resource, sys, time, traceback
from pathlib import Path
from tensorgrade.shell import Shell

folder = Path(sys.argv[1])
shell = Shell()
built = {
    "threads": len(os.listdir("/proc/self/task")),
    "torch": "torch" in sys.modules,
    "names": sorted(shell.namespace),
    "own_streams": sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__,
}
(folder / "built.json").write_text(json.dumps(built))


def in_child(work):
    if child := os.fork():
        os.waitpid(child, 0)
        return
    try:
        shell.after_fork()
        work()
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        sys.__stderr__.flush()
        os._exit(0)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(phase, request):
    begin, memory = time.perf_counter(), peak()
    results = [vars(shell.run_cell(cell, output_limit=request["limit"])) for cell in request[phase]]
    reply = {"results": results, "seconds": time.perf_counter() - begin, "memory": peak() - memory}
    (folder / (phase + ".json")).write_text(json.dumps(reply))


def serve(request):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    run("cells", request)
    in_child(lambda: run("snapshot", request))
    run("after", request)


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
        # it takes longer to be told than text is kept back (see "old text"), so that the order is no matter of the machine's speed
        "import time\nclass Slow(Exception):\n    def __str__(self): return time.sleep(0.5) or 'in the handler'",
        "def worse(shell, etype, value, tb, tb_offset=None): raise Slow\nget_ipython().set_custom_exc((LookupError,), worse)",
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
    "a stream that was closed": (
        "sys.stderr.close()\ntry: print('x', file=sys.stderr)\nexcept ValueError as error: print(error)",
        "print('fine')",
    ),
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

# Case: why a kernel's outputs cannot be had, the cells, and what we give instead, in brief.
KNOWN_DIFFERENCES: dict[str, tuple[str, tuple[str, ...], list[list[tuple[str, str]]]]] = {
    "an update of an earlier cell's display": (
        "that cell's outputs were handed over when it ended; nbclient still changes them",
        ("h = display('old', display_id=True)", "h.update('new')"),
        [[("display_data", "'old'")], []],
    ),
    "a lone surrogate that is printed": (
        "ipykernel loses the text, and prints the traceback of its own failure",
        ("print('a \\ud800')",),
        [[("stdout", "a ?\n")]],
    ),
    "a display that nbformat forbids": (
        "nbclient raises, and the notebook is not executed any further",
        ("display({'text/plain': 5}, raw=True)",),
        [[("display_data", "5")]],
    ),
    "cells after exit()": (
        "the kernel is gone, and nbclient raises",
        ("exit()", "'next'"),
        [[], [("execute_result", "'next'")]],
    ),
    "misuse of a stream": (
        "the traceback shows where it was noticed, which is in another file",
        ("import sys\nsys.stdout.write(b'bytes')",),
        [[("TypeError", "write() argument must be str, not <class 'bytes'>")]],
    ),
    "a question about the kernel's connections": (
        "there are none",
        ("%subshell",),
        [[("RuntimeError", "Not in a running Kernel")]],
    ),
}

NOTEBOOKS = {"values": VALUES, "errors": ERRORS, "magics": MAGICS}
CASES = [(notebook, case) for notebook, cases in NOTEBOOKS.items() for case in cases]

VOLATILE = (
    (r"0x[0-9a-f]{6,}|(?<=object at )[0-9a-f]{6,}", "ADDRESS"),
    (r"ipykernel_\d+", "ipykernel_PID"),
    (r"/tmp/(tmp|ipython_edit_)\w+(/ipython_edit_\w+)?", "/tmp/TEMPORARY"),
    (r"(The slowest run took|Compiler time:|Compiler +:|Parser +:) [^\\]*\\n", ""),  # said when something was slow
    (r"\b\d+(\.\d+)?(e\+\d+)? ?(ns|[µμ]s|us|ms|s)\b", "TIME"),
    (r"(user|sys|total): TIME", r"\1: TIME"),
    (r"\b[0-9a-f]{32}\b", "DISPLAY-ID"),
    (r"\d\.\d{3} seconds", "TIME seconds"),
)


class RecordingExecute(Execute):
    """nbgrader's own preprocessor, which also keeps whether the kernel replied "ok"."""

    def on_cell_executed(self, **kwargs):
        """Keep the reply's status in the cell."""
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
    def outputs(self) -> list[list[Any]]:
        """The outputs of each cell in brief: of a stream its text, of an error its message, of the rest its text."""
        return [[brief(output) for output in result["outputs"]] for result in self.results]


def brief(output: dict[str, Any]) -> tuple[str, str]:
    """What an output says, without its form."""
    if output["output_type"] == "stream":
        return output["name"], output["text"]
    if output["output_type"] == "error":
        return output["ename"], output["evalue"]
    return output["output_type"], output["data"]["text/plain"]


class Zygote:
    """A process that holds a shell and runs each request in a fork of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        with (folder / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                # as Jupyter starts a kernel: frozen modules would have no source in tracebacks
                [sys.executable, "-Xfrozen_modules=off", "-c", ZYGOTE, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=folder,
                env={**os.environ, "HOME": str(self.home)},
            )

    def run(self, *cells: str, limit: int = LIMIT) -> Served:
        """Run cells in a fork."""
        return self.run_phases(cells, limit=limit)[0]

    def run_phases(
        self, cells: Sequence[str], snapshot: Sequence[str] = (), after: Sequence[str] = (), *, limit: int = LIMIT
    ) -> list[Served]:
        """Run cells in a fork, then some in a fork of that, then others in the first one again."""
        phases = {"cells": cells, "snapshot": snapshot, "after": after}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for phase in phases:  # else the answer to the last request would pass for one to this
            (self.folder / f"{phase}.json").unlink(missing_ok=True)
        self.process.stdin.write(json.dumps({**phases, "limit": limit}) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "served\n"
        return [Served(**json.loads((self.folder / f"{phase}.json").read_text())) for phase in phases]

    @property
    def built(self) -> dict[str, Any]:
        """What was true when the shell was built."""
        return json.loads((self.folder / "built.json").read_text())

    @property
    def raw(self) -> str:
        """What the last request wrote to file descriptor 1."""
        return (self.folder / "raw").read_text()

    @property
    def complaints(self) -> str:
        """What the process and its forks wrote to file descriptor 2."""
        return (self.folder / "stderr").read_text()

    def close(self) -> None:
        """End the process, which must have printed nothing else."""
        stdout, _ = self.process.communicate(timeout=10)
        assert (self.process.returncode, stdout, self.complaints) == (0, "", "")


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    zygote = Zygote(tmp_path_factory.mktemp("zygote"))
    yield zygote
    zygote.close()


@pytest.fixture(scope="module")
def compared(zygote: Zygote) -> Callable[[str], dict[str, list[tuple[Any, Any]]]]:
    """For each case of a notebook the pairs of a kernel's result and ours, cell by cell; a notebook is run once."""

    @functools.cache
    def compare(notebook: str) -> dict[str, list[tuple[Any, Any]]]:
        cases = NOTEBOOKS[notebook]
        cells = tuple(itertools.chain.from_iterable(cases.values()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(zygote.home))  # tracebacks abbreviate it
            patch.delenv("PYTEST_CURRENT_TEST")  # under pytest ipykernel leaves the file descriptors alone
            expected = run_in_kernel(cells, zygote.folder)
        pairs = zip(normalised(expected), normalised(zygote.run(*cells).results), strict=True)
        return {name: list(itertools.islice(pairs, len(case))) for name, case in cases.items()}

    return compare


@pytest.mark.parametrize(("notebook", "case"), CASES)
def test_outputs_are_those_of_a_kernel(compared, notebook, case):
    """A cell gives the outputs, the success and the number that ipykernel, nbclient and nbgrader give."""
    pairs = compared(notebook)[case]
    differing = [{"expected": expected, "got": got} for expected, got in pairs if got != expected]
    assert not differing, json.dumps(differing, indent=1, ensure_ascii=False)


@pytest.mark.parametrize("case", KNOWN_DIFFERENCES)
def test_known_differences(zygote, case):
    """Where a kernel's outputs cannot be had, the outputs are those that the table says."""
    _reason, cells, outputs = KNOWN_DIFFERENCES[case]
    assert zygote.run(*cells).outputs == outputs


def test_outputs_are_valid_in_nbformat(zygote):
    """Every cell's outputs make a valid notebook, also those that a kernel cannot run."""
    cells = [cell for _, cells, _ in KNOWN_DIFFERENCES.values() for cell in cells]
    executed = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    for cell, result in zip(executed.cells, zygote.run(*cells).results, strict=True):
        cell.outputs = nbformat.from_dict(result["outputs"])
        cell.execution_count = result["execution_count"]
    nbformat.validate(executed)


def test_building_leaves_no_trace(tmp_path):
    """A new shell has no thread, no file at home, no torch, no name of its own, and has printed nothing."""
    zygote = Zygote(tmp_path)
    zygote.run("1 / 0", "await __import__('asyncio').sleep(0)", "%history")
    zygote.close()
    names = ["In", "Out", "exit", "get_ipython", "open", "quit"]
    assert [name for name in zygote.built.pop("names") if not name.startswith("_")] == names
    assert {**zygote.built, "names": []} == {"threads": 1, "torch": False, "names": [], "own_streams": True}
    assert list(zygote.home.iterdir()) == []


def test_awaiting_works_after_every_fork(zygote):
    """A fork of a process that awaited can await, and does not disturb the loop of that process."""
    # run_in_executor is woken through the loop's socket pair, which a loop closed in a fork would unregister
    cell = "import asyncio\nawait asyncio.get_running_loop().run_in_executor(None, lambda: 'awaited')"
    for served in zygote.run_phases([cell, cell], [cell, cell], [cell]):
        assert all(outputs == [("execute_result", "'awaited'")] for outputs in served.outputs)


def test_a_snapshot_goes_on_with_the_names_and_the_count(zygote):
    """A fork has the names and the next number of the process that it was forked from."""
    _, snapshot, after = zygote.run_phases(["x = 1"], ["x += 1\nx"], ["x"])
    assert snapshot.outputs == [[("execute_result", "2")]]
    assert after.outputs == [[("execute_result", "1")]]
    assert after.results[0]["execution_count"] == 2


def notice(limit: int) -> str:
    return f"\n[The output of this cell was cut at the limit of {limit} bytes.]\n"


@pytest.mark.parametrize(
    "cell",
    [
        "for _ in range(100): print('x' * 1_000_000)",
        "import sys\nfor _ in range(100): sys.stdout.write('x' * 999_999 + '\\n')",
        "for _ in range(100): print('x' * 1_000_000, flush=True)",
    ],
)
def test_a_hundred_megabytes_of_text_are_cut(zygote, cell):
    """Text beyond the limit is dropped quickly, and takes no memory."""
    served = zygote.run(cell, "'next'", limit=1_000_000)
    (name, text), *_ = served.outputs[0]
    assert name == "stdout"
    assert text.removesuffix(notice(1_000_000)).replace("\n", "x") == "x" * 1_000_000
    assert served.outputs[1] == [("execute_result", "'next'")]
    assert served.seconds < 2
    assert served.memory < 20_000_000


def test_a_million_small_writes_are_cut(zygote):
    """Printing in small pieces costs little time and memory beyond the limit, on both streams."""
    cell = "import sys\nfor i in range(200_000):\n    print(i)\n    print(i, file=sys.stderr)"
    served = zygote.run(cell, limit=100_000)
    assert sum(len(text) for _, text in served.outputs[0]) == 100_000 + len(notice(100_000))
    plain = zygote.run("import io\none = io.StringIO()\nfor i in range(400_000): print(i, file=one)")
    assert served.seconds < 60 * plain.seconds
    assert served.memory < 20_000_000


def test_the_limit_counts_bytes_and_cuts_between_characters(zygote):
    """A text of wide characters is cut at the last one that fits whole."""
    assert zygote.run("print('é漢😀' * 3, end='')", limit=13).outputs == [[("stdout", "é漢😀éé"[:4] + notice(13))]]


def test_text_that_just_fits_is_not_cut(zygote):
    """Output of exactly the limit has no notice; one byte more has."""
    assert zygote.run("print('12345', end='')", limit=5).outputs == [[("stdout", "12345")]]
    assert zygote.run("print('123456', end='')", limit=5).outputs == [[("stdout", "12345" + notice(5))]]


def test_displays_beyond_the_limit_are_dropped(zygote):
    """A display or a result that does not fit is dropped whole, with one notice for all."""
    cell = "print('a')\ndisplay('x' * 10_000)\ndisplay('y' * 10_000)\nprint('b')\n'z' * 10_000"
    assert zygote.run(cell, limit=1_000).outputs == [[("stdout", "a\n" + notice(1_000))]]


def test_an_error_after_the_cut_is_kept(zygote):
    """A cell that fails after its output was cut still says why, in brief."""
    served = zygote.run("print('x' * 10_000)\nraise ValueError('y' * 10_000)", limit=1_000)
    assert served.outputs[0][1:] == [("ValueError", "y" * 1_000)]
    assert served.results[0]["outputs"][1]["traceback"] == []
    assert served.results[0]["ok"] is False


def test_clearing_makes_room_again(zygote):
    """Only what is shown counts: an animation of many frames is not cut."""
    cell = (
        "from IPython.display import clear_output\nfor i in range(50):\n    clear_output({})\n    print(i, 'x' * 900)"
    )
    for wait in ("wait=True", ""):
        assert zygote.run(cell.format(wait), limit=1_000).outputs == [[("stdout", "49 " + "x" * 900 + "\n")]]


def test_updates_count_once(zygote):
    """A display that is updated counts with its last content, and an update that does not fit is dropped."""
    cell = "h = display('', display_id=True)\nfor i in range(50): h.update('x' * 500)\nh.update('y' * 5_000)"
    shown = ("display_data", repr("x" * 500))
    assert zygote.run(cell, limit=1_000).outputs == [[shown, ("stdout", notice(1_000))]]


@pytest.mark.parametrize(
    "cell",
    [
        "import sys; sys.stdout = None",
        "import sys; sys.stdout = sys.stderr = object()",
        "import asyncio\nasync def leave(): raise SystemExit(1)\nasyncio.create_task(leave())\nawait asyncio.sleep(0.2)",
        "import asyncio\nasync def leave(): raise KeyboardInterrupt\nasyncio.ensure_future(leave())",
        "import asyncio\nasyncio.get_running_loop().stop()\nawait asyncio.sleep(0.01)",
        "get_ipython().transform_cell = get_ipython().showtraceback = None",
        "type(get_ipython()).run_cell = lambda *a, **k: (_ for _ in ()).throw(GeneratorExit('x'))",
        "class E(BaseException):\n    __str__ = __repr__ = lambda s: 1 / 0\n"
        "def run(*a, **k): raise E\nget_ipython().run_cell = run",
        "type(get_ipython()).execution_count = None",
        "get_ipython()._showtraceback = lambda *a: None\nraise ValueError('\\ud800')",
        "class Meta(type):\n    __name__ = property(lambda c: 1 / 0)\nclass E(BaseException, metaclass=Meta): pass\nraise E",
        "del get_ipython().events, get_ipython().display_pub",
        "get_ipython().payload_manager = None",
        "class E(Exception):\n    __name__ = 3\nE.__class__ = property(lambda s: 1 / 0)\nraise E",
        "import signal\nsignal.signal(signal.SIGALRM, lambda *a: 1 / 0)\nsignal.setitimer(signal.ITIMER_REAL, 0.0001)",
    ],
)
def test_a_result_comes_whatever_the_cell_does(zygote, cell):
    """A cell that breaks its own surroundings has a result, and so has the next."""
    served = zygote.run(cell, "1 / 0", "print('still here')")
    assert [set(result) for result in served.results] == [{"outputs", "ok", "execution_count"}] * 3
    assert json.dumps(served.results, ensure_ascii=False).encode("utf-8")


def test_a_task_that_exits_ends_its_cell_only(zygote):
    """SystemExit in a background task becomes an error of the cell that runs; the next cell runs as ever."""
    cell = "import asyncio\nasync def leave(): raise SystemExit(1)\nt = asyncio.create_task(leave())\nawait asyncio.sleep(1)"
    served = zygote.run(cell, "await asyncio.sleep(0, 'next')")
    assert ("SystemExit", "1") in served.outputs[0]
    assert served.outputs[1] == [("execute_result", "'next'")]


def test_what_a_forked_process_prints_goes_to_its_descriptor(zygote):
    """A process forked by a cell writes to descriptor 1, not to a copy of the buffer that nobody sees."""
    cell = "import os\nprint('parent')\nif not os.fork():\n    print('child')\n    os._exit(0)\nos.wait()[1]"
    served = zygote.run(cell)
    assert served.outputs == [[("stdout", "parent\n"), ("execute_result", "0")]]
    assert zygote.raw == "child\n"
