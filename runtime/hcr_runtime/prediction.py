"""What is said of one image, and the one rule by which an answer is accepted or refused.

An answer is accepted when there is ink, the glyph is not too small to be told from another, and the
calibrated confidence reaches the model's threshold, which training fits so that accepted answers
are right 99 times in 100. Everything else only explains a refusal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hcr_runtime.arguments import check_images, check_type, collect, received
from hcr_runtime.errors import HcrError
from hcr_runtime.image import ImageLike
from hcr_runtime.ink import MIN_GLYPH, Extent
from hcr_runtime.preprocess import prepare
from hcr_runtime.spec import ModelSpec

Scores: TypeAlias = NDArray[np.float32]
Reason: TypeAlias = Literal[
    "",
    "blank",
    "too small",
    "too large",
    "not a character",
    "not allowed",
    "ambiguous",
    "unsure",
    "touching",
]

# Figures of arabic-letters on AHCD's test set, docs/runtime.md.
# A refused glyph smaller than this is refused for it: more than half of such are not sure enough.
SMALL_GLYPH = 10
# Ink on so many of the image's sides: a refused glyph is cut off.
CUT_SIDES = 3
# Three labels that hold less than this together: the model knows no such character. Models are
# trained to answer evenly to what is none.
KNOWN_SHARE = 0.5
# Two labels that hold this much together: it is one of the two.
PAIR_SHARE = 0.9
# Allowed labels that hold less than this together: it is another one.
ALLOWED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """One label and the confidence in it (0-1).

    >>> Candidate("ب", 0.75)
    Candidate(label='ب', confidence=0.75)
    """

    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one image; immutable.

    Attributes:
        label: The most likely character; empty for a blank image.
        name: Its short name, e.g. ``beh``.
        codepoint: Its Unicode code point, e.g. ``U+0628``.
        confidence: Its calibrated probability, 0-1; among the allowed labels where lists are given.
        top: The most likely labels with their confidences, best first.
        accepted: False when the answer should not be used; `reason` says why.
        reason: Empty, or ``blank`` (no ink), ``too small`` (too few pixels), ``too large`` (cut off
            by the image's sides), ``not a character`` (nothing the model knows), ``not allowed``
            (a label that the lists leave out), ``ambiguous`` (one of `between`; also where two
            looks at an image differ), ``unsure`` (under the model's threshold, or a stricter one at
            a second look, for none of these reasons); on a page also ``touching`` (several
            characters run into one another).
        between: The two labels where the reason is ``ambiguous``; else empty.

    >>> Prediction("د", "dal", "U+062F", 0.6, (), False, "ambiguous", ("د", "ذ")).between
    ('د', 'ذ')
    """

    label: str
    name: str
    codepoint: str
    confidence: float
    top: tuple[Candidate, ...]
    accepted: bool
    reason: Reason
    between: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as plain JSON types (docs/json.md)."""
        return {
            **asdict(self),
            "top": [asdict(candidate) for candidate in self.top],
            "between": list(self.between),
        }


BLANK = Prediction("", "", "", 0.0, (), False, "blank")


def refusal(extent: Extent, best: float, second: float, known: float, spec: ModelSpec) -> Reason:
    """Say why an answer is refused; empty where it is accepted.

    Args:
        extent: Of the image's ink.
        best: Confidence of the first label, 0-1.
        second: Of the second.
        known: Of the first three together.
        spec: The model's description.
    """
    if extent.longer == 0:
        return "blank"
    if extent.longer < MIN_GLYPH:
        return "too small"
    if best >= spec.rejection.min_confidence:
        return ""
    if extent.longer < SMALL_GLYPH:
        return "too small"
    if extent.sides >= CUT_SIDES:
        return "too large"
    if known < KNOWN_SHARE:
        return "not a character"
    if best + second >= PAIR_SHARE and second >= (1 - best) / 2:
        return "ambiguous"
    return "unsure"


def accepts(images: Sequence[ImageLike], scores: Scores, spec: ModelSpec) -> NDArray[np.bool_]:
    """Tell which images are answered at the first look: `Classifier.classify_glyphs`.

    Args:
        images: N images.
        scores: Their calibrated probabilities, (N, classes), of whatever ran the model.
        spec: The model's description.

    Returns:
        bool of shape (N,).

    Raises:
        ImageError: One of `images` is no image.
        HcrError: `images` is none of several, `scores` has another shape, `spec` is none.

    >>> from hcr_runtime import Label
    >>> spec = ModelSpec("demo", (Label("a", "a"), Label("b", "b")))
    >>> blank, stroke = np.full((2, 64, 64), 255, np.uint8)
    >>> stroke[12:52, 30:34] = 0
    >>> accepts([blank, stroke], np.full((2, 2), 0.5, np.float32), spec).tolist()
    [False, True]
    """
    check_type("spec", spec, ModelSpec)
    images = check_images(images)
    _check_scores("scores", scores, spec, len(images))
    return np.array(
        [
            not refusal(prepare(image, spec)[1], float(row.max()), 0.0, 1.0, spec)
            for image, row in zip(images, scores, strict=True)
        ],
        bool,
    )


def predict(
    extent: Extent,
    scores: Scores,
    spec: ModelSpec,
    top: int = 3,
    allowed: NDArray[np.bool_] | None = None,
) -> Prediction:
    """Turn one image's probabilities, shape (classes,), into a `Prediction`.

    Args:
        extent: Of the image's ink.
        scores: Calibrated probabilities.
        spec: The model's description.
        top: How many candidates to name, 1 or more.
        allowed: Which labels may be answered, bool (classes,); see `allowed_labels`.
    """
    if extent.longer == 0:
        return BLANK
    elsewhere = False
    if allowed is not None:
        share = float(scores[allowed].sum())
        elsewhere = share < ALLOWED_SHARE
        scores = np.where(allowed, scores / max(share, 1e-12), 0).astype(np.float32)
    # Plain lists: for some thirty numbers faster than arrays. Sorting is stable.
    values: list[float] = scores.tolist()
    indices = range(len(values)) if allowed is None else np.flatnonzero(allowed).tolist()
    order = sorted(indices, key=values.__getitem__, reverse=True)
    labels = spec.labels
    best, second, third, *_ = *(values[index] for index in order[:3]), 0.0, 0.0
    reason = refusal(extent, best, second, best + second + third, spec)
    if elsewhere and reason not in ("blank", "too small"):
        reason = "not allowed"
    label = labels[order[0]]
    return Prediction(
        label.text,
        label.name,
        label.codepoint,
        best,
        tuple([Candidate(labels[index].text, values[index]) for index in order[:top]]),
        not reason,
        reason,
        tuple(labels[index].text for index in order[:2]) if reason == "ambiguous" else (),
    )


def allowed_labels(
    spec: ModelSpec, allow: Collection[str] | None, deny: Collection[str] | None
) -> NDArray[np.bool_] | None:
    """Which labels may be answered: those in `allow` (all, where None) and not in `deny`.

    Returns:
        bool of shape (classes,); None where every label may.

    Raises:
        HcrError: A list names what is no label, or the lists leave nothing.
    """
    if allow is None and deny is None:
        return None
    texts = spec.texts
    wanted = [True] * len(texts)
    for name, listed, kept in (("allow", allow, True), ("deny", deny, False)):
        if listed is None:
            continue
        labels = _labels(name, listed, spec)
        wanted = [
            keep and (text in labels) is kept for keep, text in zip(wanted, texts, strict=True)
        ]
    if not any(wanted):
        raise HcrError("allow and deny leave no label", allowed="one label or more")
    return None if all(wanted) else np.array(wanted, bool)


def _labels(name: str, listed: object, spec: ModelSpec) -> tuple[str, ...]:
    """The labels of `allow` or `deny`, which may be a generator."""
    # A text is a collection of its characters, which a label of several is not.
    if not isinstance(listed, Iterable) or isinstance(listed, str | bytes | Mapping):
        raise HcrError(
            f"{name} is {received(listed)}", allowed="a list of labels", hint="list('ابت') is one"
        )
    labels = tuple(collect(name, listed))
    for label in labels:
        if not (isinstance(label, str) and label in spec.texts):
            raise HcrError(
                f"{name} holds {received(label)}, which is no label of {spec.name}",
                allowed=" ".join(spec.texts),
            )
    return labels


def probabilities(output: Scores, spec: ModelSpec) -> Scores:
    """Turn raw outputs, shape (N, classes), into calibrated probabilities of the same shape.

    Softmax outputs are first taken back to logits, which they fix up to a constant.

    Args:
        output: What the model gives, of any type of floats; what is no number (NaN) stays so.
        spec: The model's description: what the outputs are, and their temperature.

    Returns:
        Rows that sum up to 1.

    Raises:
        HcrError: `output` has another type or shape, or `spec` is none.

    >>> from hcr_runtime import Label
    >>> spec = ModelSpec("demo", (Label("a", "a"), Label("b", "b")), output="logits")
    >>> probabilities(np.float32([[0, 0], [1, 0]]), spec).round(1)
    array([[0.5, 0.5],
           [0.7, 0.3]], dtype=float32)
    """
    check_type("spec", spec, ModelSpec)
    _check_scores("output", output, spec)
    if spec.output == "softmax" and spec.temperature == 1.0:
        return output
    logits = np.log(np.maximum(output, 1e-12)) if spec.output == "softmax" else output
    scaled = np.asarray(logits / np.float32(spec.temperature), np.float32)
    scaled -= np.maximum.reduce(scaled, axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= np.add.reduce(scaled, axis=1, keepdims=True)
    return scaled


def _check_scores(name: str, scores: object, spec: ModelSpec, rows: int | None = None) -> None:
    """Raise `HcrError` unless these are floats of shape (rows, classes); any rows where None."""
    described = ""
    if isinstance(scores, np.ndarray):
        count = scores.shape[:1] if rows is None else (rows,)
        if scores.dtype.kind == "f" and scores.shape == (*count, len(spec.labels)):
            return
        described = f"{scores.dtype} of shape {scores.shape}"
    wanted = f"({'N' if rows is None else rows}, {len(spec.labels)})"
    raise HcrError(
        f"{name} is {described or received(scores)}", allowed=f"an array of floats, {wanted}"
    )
