"""Agreement with a network that reads nothing is no proof, and is not told as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_edge.cli.parity import finish_parity
from hcr_export.doubts import doubts
from hcr_export.keras_file import KerasFile
from hcr_export.labelled_images import LabelledImages
from hcr_export.parity import measure
from hcr_runtime import preprocess


@pytest.fixture(scope="module")
def scores(source: KerasFile, drawn: LabelledImages) -> NDArray[np.float32]:
    return source.scores(np.stack([preprocess(image, source.spec) for image in drawn.images]))


def test_a_network_that_reads_is_not_doubted(
    source: KerasFile, drawn: LabelledImages, scores: NDArray[np.float32]
) -> None:
    assert doubts(drawn, scores, source.spec) == ()
    unknown = replace(drawn, labels=np.full_like(drawn.labels, -1))
    assert doubts(unknown, scores, source.spec) == ()


def test_labels_in_another_order(
    source: KerasFile, drawn: LabelledImages, scores: NDArray[np.float32]
) -> None:
    (doubt,) = doubts(drawn, scores[:, ::-1], source.spec)
    assert "no more than chance" in doubt
    assert "--labels" in doubt


def test_one_answer_to_all(
    source: KerasFile, drawn: LabelledImages, scores: NDArray[np.float32]
) -> None:
    constant = np.tile(scores[:1], (len(scores), 1))
    name = source.spec.texts[int(scores[0].argmax())]
    total = len(drawn.images)
    for images in (drawn, replace(drawn, labels=np.full_like(drawn.labels, -1))):
        (doubt,) = doubts(images, constant, source.spec)
        assert f"answers {name} to {total} of {total} images" in doubt
    letter = int(scores[0].argmax())
    one_letter = replace(drawn, labels=np.full_like(drawn.labels, letter))
    assert doubts(one_letter, constant, source.spec) == (), "they show nothing else"
    mostly = np.where(np.arange(total) < 0.9 * total, letter, drawn.labels)
    assert doubts(replace(drawn, labels=mostly), constant, source.spec) == ()


def test_few_images_tell_nothing(
    source: KerasFile, drawn: LabelledImages, scores: NDArray[np.float32]
) -> None:
    few = replace(drawn, images=drawn.images[:20], labels=drawn.labels[:20])
    assert doubts(few, scores[:20, ::-1], source.spec) == ()


def test_the_report_and_the_command_tell(
    source: KerasFile, drawn: LabelledImages, capsys: pytest.CaptureFixture[str]
) -> None:
    images = replace(drawn, labels=(drawn.labels + 5) % len(source.spec.labels))
    report = measure(source, [], images)
    assert report.to_dict()["doubts"] == list(report.doubts)
    (doubt,) = report.doubts
    assert f"**{doubt}.**" in report.to_markdown()
    finish_parity(report, Path("bundle"), as_json=False)
    assert doubt in " ".join(capsys.readouterr().err.split())


def test_drawn_images_that_do_not_suit(
    source: KerasFile, drawn: LabelledImages, scores: NDArray[np.float32]
) -> None:
    some = scores.copy()
    some[::2] = np.roll(some[::2], 3, axis=1)
    some[1::8] = np.roll(some[1::8], 5, axis=1)
    real = replace(drawn, synthetic=False)
    assert doubts(real, some, source.spec) == (), "of real images it may be a weak network"
    (doubt,) = doubts(drawn, some, source.spec)
    assert "--polarity" in doubt
