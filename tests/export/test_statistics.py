from __future__ import annotations

import pytest
from scipy.stats import binomtest

from hcr_export.statistics import wilson_interval

# Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
PUBLISHED = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),  # no right answer: the interval still has a width
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("correct", "total", "low", "high"), PUBLISHED)
def test_published_values(correct: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("total", [1, 7, 100, 3360])
def test_agrees_with_scipy_at_every_share(total: int) -> None:
    for correct in sorted({0, 1, total // 3, total - 1, total}):
        expected = binomtest(correct, total).proportion_ci(0.95, method="wilson")
        got = wilson_interval(correct, total)
        assert got == pytest.approx((expected.low, expected.high), abs=1e-6)
        assert 0 <= got[0] < got[1] <= 1


def test_another_confidence() -> None:
    expected = binomtest(90, 100).proportion_ci(0.99, method="wilson")
    assert wilson_interval(90, 100, z=2.575829) == pytest.approx(
        (expected.low, expected.high), abs=1e-6
    )


def test_no_answers_say_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_narrows_with_the_root_of_the_count() -> None:
    low, high = wilson_interval(900, 1000)
    narrow_low, narrow_high = wilson_interval(90_000, 100_000)
    assert (high - low) / (narrow_high - narrow_low) == pytest.approx(10, rel=0.01)
