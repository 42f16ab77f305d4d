"""The command line: one command for each thing that instructors, graders and students do.

Exit codes: 0 done; 1 something to mend, said on stderr; 2 wrong use of the command; 130 interrupted. An error that is
not a `TensorgradeError` is a bug and shows its traceback.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .errors import TensorgradeError

if TYPE_CHECKING:
    from .exercise import Language
    from .sandbox import Tier

INTERRUPTED = 130
"""The exit code of a command that was ended with Ctrl-C, as shells have it: 128 and the number of SIGINT."""

_LANGUAGE = click.Choice(["en", "zh"])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option(
    "--course",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The course's folder, or one inside of it; the current folder if not given.",
)
@click.pass_context
def cli(context: click.Context, folder: Path) -> None:
    """Auto-graded PyTorch exercises on nbgrader.

    \b
    A course's way from YAML to the gradebook:
      tensorgrade new create/eye     begin an exercise
      tensorgrade verify create      prove that its graders are right
      tensorgrade doctor             see what this machine protects while it grades
      tensorgrade build create       write release/create from assignments/create
      tensorgrade grade create       grade what lies in submitted/*/create, as nbgrader autograde does
      tensorgrade scores create      show the scores, clause by clause
    """  # noqa: D301 - a backspace is what tells click to leave the lines as they are
    context.obj = folder


@cli.command()
@click.argument("assignments", nargs=-1)
@click.option("--lang", "language", type=_LANGUAGE, default="en", show_default=True, help="Language of the notebooks.")
@click.option("--check", is_flag=True, help="Write nothing; fail if the release is not what build would write.")
@click.pass_obj
def build(folder: Path, assignments: tuple[str, ...], language: str, check: bool) -> None:
    """Build the student notebooks of ASSIGNMENTS (all of the course if none is given).

    The exercises are checked first, and every problem is named with file, line and remedy. nbgrader then writes
    release/ and registers the cells in the gradebook. The same YAML always gives the same bytes.
    """
    from .build import build as build_one
    from .build import stale_files
    from .course import Course

    course = Course.find(folder)
    stale: list[str] = []
    for assignment in assignments or course.assignment_names():
        if check:
            stale += stale_files(course, assignment, _language(language))
        else:
            click.echo(os.path.relpath(build_one(course, assignment, _language(language))))
    if stale:
        names = "\n  ".join(os.path.relpath(name) for name in stale)
        raise TensorgradeError(f"not current:\n  {names}\nrun `tensorgrade build` and commit the result")


@cli.command()
@click.argument("assignment")
@click.option("--student", "students", multiple=True, help="Grade this student only; may be given several times.")
@click.option("--workers", type=click.IntRange(1), help="Notebooks at a time; one per processor if not given.")
@click.option("--force", is_flag=True, help="Grade again what is graded already; known results are used.")
@click.option("--no-cache", is_flag=True, help="Compute every result anew.")
@click.pass_obj
def grade(
    folder: Path, *, assignment: str, students: tuple[str, ...], workers: int | None, force: bool, no_cache: bool
) -> None:
    """Grade what was handed in for ASSIGNMENT, as ``nbgrader autograde`` does, with progress and a summary.

    Ctrl-C stops it; what was graded by then is saved, and the next run goes on. Exit code 0: every submission is
    graded, whatever was in it; 1: a person has to look at some, or something failed; 130: stopped.
    """
    from rich.console import Console

    from .bridge.early import started_early
    from .course import Course
    from .progress import GradingProgress, tell

    course, console = Course.find(folder), Console()
    options = {"cache": not no_cache, **({"workers": workers} if workers else {})}
    begin = time.monotonic()
    try:
        with GradingProgress(console) as progress:
            with started_early(course, assignment, options):
                from .bridge.run import autograde
            summary = autograde(course, assignment, progress, students=students, force=force, options=options)
    except KeyboardInterrupt:
        click.echo("Stopped. What was graded is saved; run it again to go on.", err=True)
        sys.exit(INTERRUPTED)
    tell(summary, time.monotonic() - begin, console)
    sys.exit(1 if summary.flagged or summary.failure else 0)


@cli.command()
@click.option("--clear", is_flag=True, help="Remove all stored results.")
@click.pass_obj
def cache(folder: Path, clear: bool) -> None:
    """Show how many results of this course are stored, and their size.

    A result is used again as long as nothing changes that it depends on: cells, side files, exercise, grader, limits,
    software. It is safe to clear them at any time.
    """
    from .course import Course
    from .results import store_of

    course = Course.find(folder)
    store = store_of(course.root)
    count = len(store)
    size = store.clear() if clear else store.size()
    click.echo(f"{count} results, {size / 2**20:.1f} MiB, in {course.results}{' were removed' if clear else ''}")


@cli.command()
@click.argument("notebook", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("exercises", nargs=-1)
@click.option("--seconds", default=60.0, show_default=True, help="How long a cell may take.")
def check(notebook: Path, exercises: tuple[str, ...], seconds: float) -> None:
    """For students: run NOTEBOOK and check the visible examples of EXERCISES (all of them if none is given).

    It says what is wrong where an example fails, as %check does in the notebook after `%load_ext tensorgrade`. The
    notebook's file stays as it is. Exit code 0: all examples pass; 1: some fail, or the notebook cannot be run.
    """
    from .practice.running import check as check_notebook

    checked = check_notebook(notebook, exercises, seconds)
    for line in checked.raised:
        click.echo(line, err=True)
    click.echo(checked.text)
    sys.exit(0 if checked.passed else 1)


@cli.command()
@click.argument("targets", nargs=-1, metavar="[ASSIGNMENT|ASSIGNMENT/EXERCISE]...")
@click.option("--mutants", is_flag=True, help="Grade small changes to right answers, too: each must be noticed.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Inputs to grade answers with.")
@click.option("--since", metavar="COMMIT", help="Prove what has changed since a commit of git.")
@click.option("--json", "as_json", is_flag=True, help="Print machine-readable JSON.")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page of HTML, too.")
@click.option("--watch", is_flag=True, help="Do it again after each save, and show what to mend first.")
@click.option("--workers", type=click.IntRange(1), help="Answers at a time; one per processor if not given.")
@click.option("--no-cache", is_flag=True, help="Compute every result anew.")
@click.pass_obj
def verify(
    folder: Path,
    /,
    *,
    targets: tuple[str, ...],
    since: str | None,
    as_json: bool,
    page: Path | None,
    watch: bool,
    no_cache: bool,
    **options: Any,
) -> None:
    """Prove that graders are right, with the answers that the exercises' files give.

    The starter must earn nothing, right answers everything, and wrong ones lose the clauses that they name, through the
    same engine that grades students; also with other inputs, again, and with two threads. Exit code 0: everything
    holds; 1: something has to be mended.
    """
    from .course import Course
    from .verify import command
    from .verify.prover import Options
    from .verify.targets import changed

    course, chosen = Course.find(folder), Options(cache=not no_cache, **options)
    if since is not None:
        targets = (*targets, *changed(course, since))
        if not targets:
            click.echo(f"Nothing has changed since {since}.")
            return
    if watch:
        command.watch(course, targets, chosen)
    sys.exit(0 if command.verify(course, targets, chosen, as_json=as_json, page=page) else 1)


@cli.command()
@click.argument("exercise", metavar="ASSIGNMENT/EXERCISE")
@click.pass_obj
def new(folder: Path, exercise: str) -> None:
    """Begin an exercise: write a YAML file and a grader that say what to fill in, and list it in its assignment.

    `tensorgrade verify --watch ASSIGNMENT/EXERCISE` then shows what to do next, until the exercise is complete.
    """
    from .course import Course
    from .verify.skeleton import begin

    for file in begin(Course.find(folder), exercise):
        click.echo(os.path.relpath(file))


@cli.command()
@click.argument("assignment")
@click.option("--json", "as_json", is_flag=True, help="Print machine-readable JSON.")
@click.pass_obj
def scores(folder: Path, assignment: str, as_json: bool) -> None:
    """Show the scores of ASSIGNMENT: students by exercises, with what failed and why."""
    from rich.console import Console

    from .course import Course
    from .scores import scores as read_scores
    from .scores import table

    data = read_scores(Course.find(folder), assignment)
    if as_json:
        click.echo(json.dumps({"students": data["students"]}, ensure_ascii=False, indent=2))
        return
    console = Console()
    console.print(table(data) if data["students"] else f"No submission of {assignment} has been graded yet.")


@cli.command()
@click.argument("target", type=click.Path(file_okay=False, path_type=Path), default=Path("docs/schema"))
@click.option("--check", is_flag=True, help="Write nothing; fail if the files are not current.")
def schema(target: Path, check: bool) -> None:
    """Write the JSON Schemas of the YAML files to TARGET (docs/schema), for completion in editors."""
    from .exercise import json_schema

    stale = [name for name, text in json_schema().items() if not _holds(target / name, text)]
    if check and stale:
        raise TensorgradeError(f"{target}: not current: {', '.join(stale)}; run `tensorgrade schema {target}`")
    for name in stale:
        target.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(json_schema()[name], encoding="utf-8")
        click.echo(target / name)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print machine-readable JSON.")
@click.option("--require", type=click.Choice(["A", "B", "C"]), help="Fail unless this tier is possible.")
@click.pass_obj
def doctor(folder: Path, as_json: bool, require: Tier | None) -> None:
    """Find out what this machine can protect when it grades the code of strangers.

    Small attacks are run in throw-away processes: on bait, and on the graders, solutions, gradebook and submissions of
    the course, if there is one here. Each protection is shown with yes or no and what to do. Exit code 0: a tier is
    possible (the one of --require) and each of its protections holds.
    """
    from .course import Course
    from .doctor import examine

    hidden: list[Path] = []
    with contextlib.suppress(TensorgradeError):
        course = Course.find(folder)
        hidden = [course.graders, course.assignments, course.submitted, course.root / "gradebook.db", course.source]
    report = examine([place for place in hidden if place.exists()], require)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        for check in report.checks:
            click.echo(f"{'yes' if check.holds else 'NO ':4} {check.name}: {check.seen}")
            if not check.holds:
                click.echo(f"     to mend it: {check.fix}")
        refused = f"Tier {require} is not possible here." if require else "Nothing can be graded here."
        click.echo(f"Tier {report.tier} is possible here." if report.tier else refused)
    sys.exit(0 if report.healthy and (require or report.tier != "C") else 1)


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


def _language(name: str) -> Language:
    from .exercise import LANGUAGES

    return next(language for language in LANGUAGES if language == name)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        sys.exit(cli(standalone_mode=False))
    except TensorgradeError as error:
        click.echo(f"tensorgrade: {error}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):  # click raises the one for the other
        click.echo("Stopped.", err=True)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
