from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcr_edge.rejection import (
    FALSE_AIM,
    MAX_ERROR,
    STRICTEST,
    calibration_error,
    false_acceptance,
    fit_min_confidence,
    measure_refusal,
)

NOTHING = np.zeros((0, 4), np.float32)


def _scores(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Rows whose first answer has a given confidence; it is class 0 where right, else 1."""
    rows = np.repeat(((1 - confidence) / 3)[:, None], 4, axis=1)
    rows[np.arange(len(rows)), np.where(right, 0, 1)] = confidence
    return rows.astype(np.float32)


def test_the_threshold_lies_above_the_mistakes() -> None:
    confidence = np.r_[np.full(90, 0.95), np.full(10, 0.6)]
    right = np.r_[np.ones(90, bool), np.zeros(10, bool)]
    scores, labels = _scores(confidence, right), np.zeros(100, np.int64)
    least = fit_min_confidence(scores, labels, NOTHING)
    assert 0.6 < least <= 0.61, "the least that does it"
    found = measure_refusal(scores, labels, least)
    assert (found.accepted, found.error) == (pytest.approx(0.9), 0.0)
    assert measure_refusal(scores, labels, 0.0).error == pytest.approx(0.1, abs=1e-5)


def test_without_mistakes_all_is_answered() -> None:
    scores = _scores(np.full(50, 0.5), np.ones(50, bool))
    assert fit_min_confidence(scores, np.zeros(50, np.int64), NOTHING) == 0.0


def test_drawings_raise_the_threshold() -> None:
    scores = _scores(np.full(50, 0.99), np.ones(50, bool))
    strange = _scores(np.full(40, 0.8), np.ones(40, bool))
    least = fit_min_confidence(scores, np.zeros(50, np.int64), strange)
    assert 0.8 < least < 0.82


def test_a_few_images_promise_less_than_many() -> None:
    """Seven mistakes in a thousand may be luck, seventy in ten thousand hardly."""
    few, many = 1000, 10_000
    found = []
    for total in (few, many):
        right = np.arange(total) % 1000 >= 7
        confidence = np.where(np.arange(total) % 2 == 0, 0.9, 0.5)
        found.append(fit_min_confidence(_scores(confidence, right), np.zeros(total, int), NOTHING))
    assert found[0] > 0.5
    assert found[1] == 0.0


def test_where_no_threshold_does_it_the_strictest_is_taken() -> None:
    """A model that is sure of its mistakes cannot be helped; training then says so."""
    scores = _scores(np.full(50, 0.99995), np.zeros(50, bool))
    assert fit_min_confidence(scores, np.zeros(50, np.int64), NOTHING) == STRICTEST


@given(
    st.lists(st.tuples(st.floats(0.26, 0.98), st.booleans()), min_size=1, max_size=200),
    st.lists(st.floats(0.26, 0.98), max_size=50),
)
def test_what_is_promised_holds_on_validation(
    answers: list[tuple[float, bool]], drawings: list[float]
) -> None:
    scores = _scores(np.array([c for c, _ in answers]), np.array([r for _, r in answers]))
    strange = _scores(np.array(drawings), np.ones(len(drawings), bool)) if drawings else NOTHING
    labels = np.zeros(len(answers), np.int64)
    least = fit_min_confidence(scores, labels, strange)
    assert measure_refusal(scores, labels, least).error <= MAX_ERROR
    assert (strange.max(axis=1, initial=0) >= least).sum() <= FALSE_AIM * len(strange)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    right = np.r_[np.ones(80, bool), np.zeros(20, bool)]
    labels = np.zeros(100, np.int64)
    for confidence, gap in ((0.8, 0.0), (0.95, 0.15), (0.7, 0.1)):
        scores = _scores(np.full(100, confidence), right)
        assert calibration_error(scores, labels) == pytest.approx(gap, abs=1e-5)


def test_false_acceptance_is_by_kind() -> None:
    shares = false_acceptance(lambda images: np.array([image.mean() > 200 for image in images]))
    assert shares["word"] > shares["texture"]
    assert false_acceptance(lambda images: np.zeros(len(images), bool))["face"] == 0


def test_letters_of_other_pens_count_by_their_mean() -> None:
    """Validation without a mistake; rewritten, a tenth of what is less sure than 0.9 is wrong."""
    labels, confidence = np.zeros(1000, np.int64), np.repeat([0.99, 0.8], 500)
    sure = _scores(confidence, np.ones(1000, bool))
    assert fit_min_confidence(sure, labels, NOTHING) < 0.8
    right = np.r_[np.ones(500, bool), np.arange(500) % 10 > 0]
    rewritten = np.concatenate([_scores(confidence, right)] * 2)
    assert 0.8 < fit_min_confidence(sure, labels, NOTHING, rewritten) <= 0.99
