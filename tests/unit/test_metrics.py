"""Classification figures against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics import classify, compare_predictions, predicted_classes


def test_a_small_case_worked_out_on_paper():
    # true:      a a a b b c      predicted: a a b b c a
    found = classify("x", np.array([0, 0, 1, 1, 2, 0]), np.array([0, 0, 0, 1, 1, 2]), ["a", "b", "c"], 3)
    assert found.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert found.accuracy == pytest.approx(3 / 6)
    a, b, c = found.classes
    assert (a.precision, a.recall, a.f1, a.support) == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert (b.precision, b.recall, b.f1, b.support) == pytest.approx((1 / 2, 1 / 2, 1 / 2, 2))
    assert (c.precision, c.recall, c.f1, c.support) == (0, 0, 0, 1)
    assert found.macro_f1 == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found.samples == 6


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_figures_are_those_of_counting_pairs(pairs):
    truth, guess = (np.array(column) for column in zip(*pairs, strict=True))
    found = classify("x", guess, truth, None, 5)
    assert found.accuracy == pytest.approx(sum(t == g for t, g in pairs) / len(pairs))
    f1s = []
    for k, figures in enumerate(found.classes):
        right = sum(t == k == g for t, g in pairs)
        claimed = sum(g == k for _, g in pairs)
        there = sum(t == k for t, _ in pairs)
        assert figures.support == there
        assert figures.precision == pytest.approx(right / claimed if claimed else 0)
        assert figures.recall == pytest.approx(right / there if there else 0)
        p, r = figures.precision, figures.recall
        assert figures.f1 == pytest.approx(2 * p * r / (p + r) if p + r else 0)
        if claimed or there:
            f1s.append(figures.f1)
        for other in range(5):
            assert found.confusion[k, other] == pairs.count((k, other))
    assert found.macro_f1 == pytest.approx(sum(f1s) / len(f1s))


def test_agreement_is_of_classes_and_of_values():
    first = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    second = np.array([[0.8, 0.2], [0.6, 0.4], [0.6, 0.4]])
    found = compare_predictions(first, second)
    assert found.samples == 3
    assert found.same_class == pytest.approx(2 / 3)
    assert found.mean_absolute_difference == pytest.approx((0.1 + 0.1 + 0.4 + 0.4) / 6)
    assert found.largest_difference == pytest.approx(0.4)


def test_one_value_names_a_class_by_its_half():
    assert predicted_classes(np.array([[0.5], [0.49], [0.9]])).tolist() == [1, 0, 1]
    assert predicted_classes(np.array([[0.0], [-0.1], [3.0]]), half=0.0).tolist() == [1, 0, 1]
    assert predicted_classes(np.array([[[0.1, 0.7]], [[0.8, 0.7]]])).tolist() == [1, 0]
    first, second = np.array([[0.9], [0.2], [0.6], [0.4]]), np.array([[0.7], [0.3], [0.4], [0.45]])
    assert compare_predictions(first, second).same_class == pytest.approx(3 / 4)


def test_a_value_that_names_no_class_is_only_a_number():
    found = compare_predictions(np.array([[3.0], [4.0]]), np.array([[3.5], [4.0]]), [False])
    assert found.same_class is None
    assert found.largest_difference == pytest.approx(0.5)
