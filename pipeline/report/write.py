"""Write a report as a page, as text and as data, and read the data back."""

from __future__ import annotations

import html
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pydantic
from markupsafe import Markup

from pipeline.errors import UsageError
from pipeline.files import write_files
from pipeline.report import charts, words
from pipeline.report.inspected import inspection_table
from pipeline.report.schema import SCHEMA_VERSION, Report, json_schema, schema_page

TEMPLATES = Path(__file__).parent / "templates"
# A confusion matrix of more classes is no longer a picture; its most frequent mistakes still are.
MATRIX_CLASSES = 20
MISTAKES_SHOWN = 10
BLOCKS_SHOWN = 10


def report_json(report: Report) -> str:
    """report.json: every figure exact, keys in the order of the schema."""
    return json.dumps(report.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def report_html(report: Report) -> str:
    """report.html: one file that needs no other, with its charts inside."""
    page = _environment("html").get_template("report.html.j2")
    return page.render(report=report, charts=charts.draw(report), style=_style())


def page(template: str, **values: Any) -> str:
    """Another page or picture: one file that needs no other; `style` is the report's dress."""
    return _environment("html").get_template(template).render(style=_style(), **values)


def report_markdown(report: Report) -> str:
    """report.md: the same without charts."""
    text = _environment("md").get_template("report.md.j2").render(report=report, charts=charts.draw(report))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def write_report(report: Report, directory: Path) -> tuple[Path, ...]:
    """Write report.html, report.md and report.json; each is there as a whole or not at all."""
    contents = {
        "report.html": report_html(report),
        "report.md": report_markdown(report),
        "report.json": report_json(report),
    }
    return _write_texts(directory, contents)


def write_schema(directory: Path) -> tuple[Path, ...]:
    """Write report_schema.md and report_schema.json, the documentation of report.json."""
    contents = {
        "report_schema.md": schema_page(),
        "report_schema.json": json.dumps(json_schema(), indent=1) + "\n",
    }
    return _write_texts(directory, contents)


def read_report(path: Path) -> Report:
    """Read a report.json, or a folder that holds one."""
    path = Path(path)
    if path.is_dir():
        path = path / "report.json"
    again = "make one: stm32-deploy deploy MODEL -o DIR"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError("there is no such report", code="E_REPORT_MISSING", where=path, hint=again) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UsageError(
            f"this is not a report.json: {error}", code="E_REPORT_UNREADABLE", where=path, hint=again
        ) from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise UsageError(
            "this JSON is not a report: it has no integer schema_version",
            code="E_REPORT_SCHEMA",
            where=path,
            hint=again,
        )
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"the report has schema version {version}; this program reads version {SCHEMA_VERSION}",
            code="E_REPORT_NEWER",
            where=path,
            hint="use the release that wrote it, or a later one",
        )
    if 0 < version < SCHEMA_VERSION:
        raise UsageError(
            f"the report has schema version {version}; this program reads version {SCHEMA_VERSION}, in which "
            "some keys mean other things",
            code="E_REPORT_OLDER",
            where=path,
            hint=again,
        )
    try:
        return Report.model_validate(data)
    except pydantic.ValidationError as error:
        details = [
            f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}" for found in error.errors()[:8]
        ]
        raise UsageError(
            f"the report does not keep schema version {version}: {error.error_count()} mistake(s)",
            code="E_REPORT_SCHEMA",
            where=path,
            hint=again,
            details=details,
        ) from None


def _write_texts(directory: Path, contents: dict[str, str]) -> tuple[Path, ...]:
    files = {directory / name: text.encode() for name, text in contents.items()}
    write_files(files)
    return tuple(files)


@cache
def _environment(kind: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=kind == "html",  # noqa: S701 -- Markdown has its own filter, `cell`
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in (
        "count",
        "size",
        "share",
        "percent",
        "signed",
        "ratio",
        "milliseconds",
        "integer_count",
        "real",
        "integer",
        "limit",
        "shape",
        "figure",
        "listed",
    ):
        environment.filters[name] = getattr(words, name)
    environment.filters["inspection_table"] = inspection_table
    environment.filters["cell"] = markdown_text
    environment.filters["mistakes"] = _mistakes
    environment.filters["shades"] = _shades
    environment.globals.update(plural=words.plural, MATRIX_CLASSES=MATRIX_CLASSES, BLOCKS_SHOWN=BLOCKS_SHOWN)
    return environment


@cache
def _style() -> Markup:
    # The project's own file, not text from outside: safe as it stands.
    return Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704


def markdown_text(value: object) -> str:
    """Text from outside as one line of a cell, with nothing left that Markdown or HTML would read."""
    line = html.escape(" ".join(str(value).split()), quote=False)
    # An underscore inside a word is no emphasis, and names are easier to read without a backslash.
    return re.sub(r"([\\`*\[\]|~#]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z]))", r"\\\1", line)


def _mistakes(confusion: tuple[tuple[int, ...], ...]) -> list[tuple[int, int, int]]:
    """(true, predicted, samples) of the most frequent mistakes."""
    found = [
        (true, predicted, samples)
        for true, row in enumerate(confusion)
        for predicted, samples in enumerate(row)
        if true != predicted and samples
    ]
    return sorted(found, key=lambda m: (-m[2], m[0], m[1]))[:MISTAKES_SHOWN]


def _shades(confusion: tuple[tuple[int, ...], ...]) -> list[list[float]]:
    """Each cell's share of its row, 0 to 1: how dark it is printed."""
    return [[n / sum(row) if sum(row) else 0.0 for n in row] for row in confusion]
