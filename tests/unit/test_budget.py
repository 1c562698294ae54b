"""Limits: each held against the right figure, and one that cannot be checked is not passed."""

from __future__ import annotations

import pytest
import report_samples as samples

from pipeline.config import read_settings
from pipeline.errors import UsageError
from pipeline.report import make_report, report_html, report_markdown, with_budget

REPORT = make_report(**samples.FULL.inputs)


@pytest.mark.parametrize(
    ("key", "actual"),
    [("flash_bytes", 24_000), ("ram_bytes", 6_496), ("arena_bytes", 4_096), ("instructions", 525_400)],
)
def test_a_limit_is_kept_up_to_its_own_value(key, actual):
    assert with_budget(REPORT, {key: actual}).verdict.level == REPORT.verdict.level
    over = with_budget(REPORT, {key: actual - 1})
    assert over.verdict.level == "red"
    assert over.budget[0].actual == actual
    assert f"at most {actual - 1:,}" in over.verdict.headline


def test_accuracy_lost_by_quantization_is_in_points():
    by_subject = {accuracy.subject: accuracy.accuracy for accuracy in REPORT.accuracy}
    lost = 100 * (by_subject["float model"] - by_subject["quantized model"])
    assert with_budget(REPORT, {"accuracy_drop": lost}).budget[0].passed
    assert not with_budget(REPORT, {"accuracy_drop": lost - 0.1}).budget[0].passed


def test_what_nobody_knows_is_not_passed():
    unlabelled = make_report(**samples.UNLABELLED.inputs)
    checked = with_budget(unlabelled, {"accuracy_drop": 50.0})
    assert checked.verdict.level == "red"
    assert "could not be checked" in checked.verdict.failures[0]


def test_pages_show_every_limit():
    checked = with_budget(REPORT, {"flash_bytes": 1, "arena_bytes": 5000})
    for page in (report_html(checked), report_markdown(checked)):
        assert "flash of the linked image" in page
        assert "24,000" in page
        assert "5,000" in page
    assert "Budget" not in report_markdown(REPORT)


def test_the_configuration_names_an_unknown_limit(tmp_path):
    file = tmp_path / "deploy.toml"
    file.write_text("[budget]\nflash_byte = 3\n")
    with pytest.raises(UsageError) as caught:
        read_settings(file, {})
    assert caught.value.code == "E_CONFIG_KEY"
    assert "did you mean `flash_bytes`" in caught.value.problem
    file.write_text("[budget]\nflash_bytes = 3\n")
    assert read_settings(file, {}).budget.limits == {"flash_bytes": 3}
