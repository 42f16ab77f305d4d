"""A proof as a page of HTML: which clause kills which mutant, what survives, what is slow, and the margins.

Trusted side. The page is one file without scripts, and escapes everything that comes from files of the course.
"""

from __future__ import annotations

from pathlib import Path

import jinja2

from .proof import CourseProof
from .report import from_here, summary

SLOWEST = 20
"""So many tests are listed as the slowest."""


def write_page(proof: CourseProof, file: Path) -> None:
    """Write the page to `file`."""
    tests = [(seconds, one.exercise, test) for one in proof.exercises for test, seconds in one.tests.items()]
    margins = [(margin.used, one.exercise, margin) for one in proof.exercises for margin in one.margins]
    page = _TEMPLATES.get_template("page").render(
        proof=proof,
        summary=summary(proof),
        slowest=sorted(tests, reverse=True)[:SLOWEST],
        margins=sorted(margins, key=lambda row: row[:2], reverse=True),
        from_here=from_here,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page, encoding="utf-8")


_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Proof of the graders</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1a1a1a; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: .8rem 0; }
th, td { border: 1px solid #ddd; padding: .2rem .5rem; text-align: left; vertical-align: top; }
th { background: #f4f4f4; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.killed { background: #d7f0d7; text-align: center; }
td.kept { color: #999; text-align: center; }
tr.survived td { background: #ffe0dd; }
tr.equivalent td { background: #fff6d6; }
.no { color: #b00020; font-weight: 600; }
.yes { color: #14701f; }
code, pre { font: 13px/1.35 ui-monospace, monospace; }
pre { background: #f7f7f7; padding: .5rem; overflow-x: auto; }
ul.problems { color: #b00020; }
</style>
</head>
<body>
<h1>Proof of the graders: {% if proof.holds %}<span class="yes">holds</span>{% else %}<span class="no">does not hold\
</span>{% endif %}</h1>
<p>{{ summary }}</p>
{% if proof.problems %}<ul class="problems">
{% for problem in proof.problems %}<li>{{ from_here(problem) }}</li>
{% endfor %}</ul>{% endif %}
<table>
<tr><th>exercise</th><th>answers</th><th>again</th><th>mutants</th><th>killed</th><th>equivalent</th><th>survivors</th>\
<th>tolerance used</th><th>holds</th></tr>
{% for one in proof.exercises %}<tr>
<td><a href="#{{ one.exercise }}">{{ one.exercise }}</a></td>
<td class="number">{{ one.answers | length }}</td>
<td class="number">{{ one.trials }}</td>
<td class="number">{{ one.mutants | length }}</td>
<td class="number">{{ one.mutants | selectattr("killed") | list | length }}</td>
<td class="number">{{ one.mutants | selectattr("reason") | list | length }}</td>
<td class="number">{{ one.mutants | selectattr("survived") | list | length }}</td>
<td class="number">{% if one.margin %}{{ "%.1f" | format(100 * one.margin.used) }} %{% endif %}</td>
<td>{% if one.holds %}<span class="yes">yes</span>{% else %}<span class="no">no</span>{% endif %}</td>
</tr>
{% endfor %}</table>

<h2>Slowest tests</h2>
<table>
<tr><th>exercise</th><th>test</th><th>milliseconds</th></tr>
{% for seconds, exercise, test in slowest %}<tr><td>{{ exercise }}</td><td><code>{{ test }}</code></td>\
<td class="number">{{ "%.1f" | format(1000 * seconds) }}</td></tr>
{% endfor %}</table>

<h2>Margins</h2>
<p>The part of the tolerance that the largest error of a right answer used up, over all inputs.</p>
<table>
<tr><th>exercise</th><th>test</th><th>answer</th><th>used</th></tr>
{% for used, exercise, margin in margins %}<tr><td>{{ exercise }}</td><td><code>{{ margin.test }}</code></td>\
<td>{{ margin.answer }}</td><td class="number">{{ "%.2f" | format(100 * used) }} %</td></tr>
{% endfor %}</table>
{% for one in proof.exercises %}
<h2 id="{{ one.exercise }}">{{ one.exercise }}</h2>
{% if one.problems %}<ul class="problems">
{% for problem in one.problems %}<li>{{ from_here(problem) }}</li>
{% endfor %}</ul>{% endif %}
<table>
<tr><th>answer</th><th></th>{% for clause in one.clauses %}<th>{{ clause }}</th>{% endfor %}</tr>
{% for answer in one.answers %}<tr><td>{{ answer.kind }}</td><td>{{ answer.name }}</td>\
{% for clause in one.clauses %}{% if clause in answer.lost %}\
<td class="killed">{{ answer.codes.get(clause, "lost") }}</td>\
{% else %}<td class="kept">·</td>{% endif %}{% endfor %}</tr>
{% endfor %}</table>
{% if one.mutants %}<table>
<tr><th>mutant of</th><th>kind</th><th>change</th>{% for clause in one.clauses %}<th>{{ clause }}</th>{% endfor %}</tr>
{% for mutant in one.mutants %}<tr\
{% if mutant.survived %} class="survived"{% elif mutant.reason %} class="equivalent"{% endif %}>\
<td>{{ mutant.answer }}</td><td>{{ mutant.kind }}</td>\
<td><details><summary><code>{{ mutant.change }}</code>\
{% if mutant.reason %} (equivalent: {{ mutant.reason }}){% endif %}</summary>\
<pre>{{ mutant.diff }}</pre></details></td>\
{% for clause in one.clauses %}{% if clause in mutant.lost %}\
<td class="killed">killed</td>{% else %}<td class="kept">·</td>\
{% endif %}{% endfor %}</tr>
{% endfor %}</table>{% endif %}
{% endfor %}
</body>
</html>
"""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.DictLoader({"page": _PAGE}), autoescape=True, undefined=jinja2.StrictUndefined
)
