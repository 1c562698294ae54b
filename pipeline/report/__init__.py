"""Tell the result to people (HTML, Markdown) and to programs (JSON)."""

from pipeline.report.budget import with_budget
from pipeline.report.make import make_report
from pipeline.report.schema import SCHEMA_VERSION, Report
from pipeline.report.summary import Summary, summarize
from pipeline.report.write import (
    read_report,
    report_html,
    report_json,
    report_markdown,
    write_report,
    write_schema,
)

__all__ = [
    "SCHEMA_VERSION",
    "Report",
    "Summary",
    "make_report",
    "read_report",
    "report_html",
    "report_json",
    "report_markdown",
    "summarize",
    "with_budget",
    "write_report",
    "write_schema",
]
