"""`Classifier`: from an image of one character to a label."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hcr_runtime.arguments import check_images, check_type, check_whole, received
from hcr_runtime.carrier import read_model
from hcr_runtime.colour import gray_of_ink
from hcr_runtime.engines import Engine, check_engine, open_engine
from hcr_runtime.errors import EngineError, ImageError
from hcr_runtime.image import (
    ColorOrder,
    GrayImage,
    ImageLike,
    Pixels,
    read_pixels,
    to_bgr,
    to_gray,
)
from hcr_runtime.ink import WORK_SIDE, Extent, is_dark, shrink
from hcr_runtime.integrity import bundle_file, check_sha256, check_signature
from hcr_runtime.limits import DEFAULT_LIMITS, Limits
from hcr_runtime.models import find_model
from hcr_runtime.narrow_shadow import band_depth
from hcr_runtime.paper_level import shadow_depth
from hcr_runtime.prediction import (
    Prediction,
    Scores,
    allowed_labels,
    predict,
    probabilities,
)
from hcr_runtime.preprocess import prepare_pixels
from hcr_runtime.reading import Reading, choose
from hcr_runtime.sheet import cut_sheet
from hcr_runtime.spec import ModelSpec

if TYPE_CHECKING:
    from hcr_runtime.page import ReadGlyph


class _Seen(NamedTuple):
    """An image before it is read.

    Attributes:
        tensor: What the model is given.
        extent: Of the image's ink.
        near: The part of the image that was prepared, where that is not all; see `close_up`.
        crowd: The image itself, grey and small, where there may be more in it than a glyph.
        sheet: The paper alone, where it lies on a dark ground; see `cut_sheet`.
        shadowed: Whether a shadow lies on it.
    """

    tensor: NDArray[np.float32]
    extent: Extent
    near: GrayImage | None = None
    crowd: GrayImage | None = None
    sheet: GrayImage | None = None
    shadowed: bool = False

    @property
    def shown(self) -> GrayImage | None:
        """What a second look is given."""
        return self.crowd if self.sheet is None else self.sheet

    @property
    def beset(self) -> bool:
        """Whether a sure first reading is not enough."""
        extent = self.extent
        return extent.lined or extent.ringed or extent.underlined or self.uneven

    @property
    def uneven(self) -> bool:
        """Whether the first look's polarity is in doubt."""
        return self.shadowed or self.sheet is not None


class Classifier:
    """A loaded model. `Classifier.load` makes one; threads may share it.

    The same image gives the same `Prediction`, bit for bit, alone or in a batch, in every run and
    thread, on one machine and build of the engine.

    Args:
        engine: Runs the model.
        limits: What is refused as too large an image.

    Raises:
        EngineError: `engine` is none.
        HcrError: `limits` are none.

    >>> import numpy as np
    >>> classifier = Classifier.load("arabic-letters")
    >>> paper = np.full((64, 64), 255, np.uint8)
    >>> paper[12:52, 30:34] = 0  # one upright stroke: alef
    >>> classifier.classify(paper).name
    'alef'
    """

    def __init__(self, engine: Engine, limits: Limits = DEFAULT_LIMITS) -> None:
        if not (hasattr(engine, "run") and isinstance(getattr(engine, "spec", None), ModelSpec)):
            raise EngineError(
                f"engine is {received(engine)}",
                allowed="a loaded engine",
                hint="Classifier.load makes a classifier by a model's name or file",
            )
        check_type("limits", limits, Limits)
        self.engine = engine
        self.limits = limits

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str],
        *,
        engine: str | None = None,
        threads: int = 1,
        sha256: str | None = None,
        public_key: str | os.PathLike[str] | bytes | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Classifier:
        """Load a model.

        Args:
            model: A shipped model's name, the path of an ``.onnx``, ``.ort`` or ``.tflite`` file
                that hcr-edge exported, or the folder of a bundle, whose checksum must hold.
            engine: ``onnxruntime``, ``litert`` (``.tflite``) or ``opencv`` (float32 ``.onnx``); by
                default what runs the file, and onnxruntime for a bundle.
            threads: Threads for one inference; 1 is fastest for models this small.
            sha256: The file's SHA-256, hexadecimal, where only that one shall run.
            public_key: Ed25519 key (PEM: a path, or bytes) with which the file was signed
                (``hcr-edge sign``); without it signatures are not looked for.
            limits: What is refused as too large an image.

        Raises:
            ModelError: Unknown name; missing, damaged, altered or unsigned file.
            SpecError: The file carries no valid description.
            EngineError: The engine is not installed, or does not run such files; `threads` is no
                whole number from 1 to 1024.
            HcrError: `limits` are none.

        >>> Classifier.load("arabic-letters-nano", engine="onnxruntime").engine.name
        'onnxruntime'
        """
        check_engine(engine)
        check_type("limits", limits, Limits)
        path = find_model(model)
        checksums = [] if sha256 is None else [sha256]
        if path.is_dir():
            path, recorded = bundle_file(path, engine or "onnxruntime")
            checksums.append(recorded)
        data = read_model(path)
        for checksum in checksums:
            check_sha256(data, checksum, path.name)
        if public_key is not None:
            check_signature(data, path, public_key)
        return cls(open_engine(path, threads, engine, data), limits)

    @property
    def spec(self) -> ModelSpec:
        """The model's description."""
        return self.engine.spec

    def scores(self, images: Sequence[ImageLike], color: ColorOrder = "bgr") -> Scores:
        """Return the calibrated probability of every class: float32, (N, classes).

        Blank images are answered like any other; `classify` refuses them. They are of the first
        look at each.

        Args:
            images: A sequence of images, each as of `classify`.
            color: Order of an array's channels.

        Raises:
            ImageError: One of `images` is no image, or beyond the limits; or `images` is one.
            EngineError: The engine cannot run the model.

        >>> import numpy as np
        >>> Classifier.load("arabic-letters").scores([np.full((64, 64), 255, np.uint8)]).shape
        (1, 28)
        """
        images = check_images(images, ImageError)
        if not images:
            return np.zeros((0, len(self.spec.labels)), np.float32)
        tensors = np.stack(
            [prepare_pixels(self._pixels(image, color), self.spec)[0] for image in images]
        )
        return probabilities(self.engine.run(tensors), self.spec)

    def classify(
        self,
        image: ImageLike,
        top: int = 3,
        *,
        color: ColorOrder = "bgr",
        allow: Collection[str] | None = None,
        deny: Collection[str] | None = None,
    ) -> Prediction:
        """Read one character.

        An image that is full of ink gets a second look where it is not read, where lines cross
        it, where a shadow lies on it, or where the ink may be a sheet of paper on a dark ground:
        the sheet is cut out, its paper made even, and lines from one side to the other are
        erased; so is a ring or a box that was drawn around the glyph, and a line under it. A glyph
        that is small in an image of more than 128 pixels a side is looked at from nearby, and
        nothing else is; see `hcr_runtime.close_up`.

        Args:
            image: A path, bytes, an open file, a NumPy array or a Pillow image of one glyph, dark
                on bright or bright on dark; see `to_gray` for its forms.
            top: How many candidates to return, 1 or more; all where there are not so many.
            color: Order of an array's channels, ``bgr`` or ``rgb``.
            allow: Labels that may be answered; all by default. Confidences are those under the
                condition that it is one of them: the others' are set to 0, and the rest divided
                by what is left. Where less than half is left the answer is refused as ``not
                allowed``.
            deny: Labels that may not be answered.

        Raises:
            ImageError: `image` is no image, or beyond the limits; or `color` is another.
            HcrError: A list names what is no label of the model, or leaves none; `top` is no whole
                number of 1 or more.
            EngineError: The engine cannot run the model.

        >>> import numpy as np
        >>> paper = np.full((64, 64), 255, np.uint8)
        >>> Classifier.load("arabic-letters").classify(paper).reason
        'blank'
        """
        top, spec = check_whole("top", top), self.spec
        allowed = allowed_labels(spec, allow, deny)
        seen = self._see(image, color)
        if seen.crowd is None:  # the usual case, and so the shortest way
            scores = probabilities(self.engine.run(seen.tensor[None]), spec)[0]
            return predict(seen.extent, scores, spec, top, allowed)
        (reading,) = self._read([seen])
        return self._told(reading, top, allowed)

    def classify_batch(
        self,
        images: Sequence[ImageLike],
        top: int = 3,
        *,
        color: ColorOrder = "bgr",
        allow: Collection[str] | None = None,
        deny: Collection[str] | None = None,
    ) -> list[Prediction]:
        """Read one character from each image, in one inference, and another for second looks.

        Args:
            images: A sequence of images, each as of `classify`, whose other arguments these are.
            top: How many candidates to return for each.
            color: Order of an array's channels.
            allow: Labels that may be answered.
            deny: Labels that may not be answered.

        Returns:
            A prediction for each image, the same that `classify` gives.

        Raises:
            ImageError: As of `classify`, for the first bad image; or `images` is one image.
            HcrError: As of `classify`.
            EngineError: As of `classify`.

        >>> Classifier.load("arabic-letters").classify_batch([])
        []
        """
        top = check_whole("top", top)
        allowed = allowed_labels(self.spec, allow, deny)
        images = check_images(images, ImageError)
        if not images:
            return []
        return [self._told(reading, top, allowed) for reading in self.look(images, color)]

    def classify_glyphs(self, crops: Sequence[ImageLike], top: int = 3) -> list[Prediction]:
        """Read glyphs that `find_glyphs` cut out: `classify_batch`, without a second look at any.

        Args:
            crops: Of glyphs, see `Glyph.crop`.
            top: How many candidates to return for each.

        Returns:
            A prediction for each.

        Raises:
            ImageError: As of `classify_batch`.
            HcrError: `top` is no whole number of 1 or more.
            EngineError: The engine cannot run the model.

        >>> Classifier.load("arabic-letters").classify_glyphs([])
        []
        """
        top = check_whole("top", top)
        crops = check_images(crops, ImageError)
        if not crops:
            return []
        seen = [self._see(crop, "bgr", False) for crop in crops]
        scores = self._scores(seen)
        return [
            predict(one.extent, row, self.spec, top) for one, row in zip(seen, scores, strict=True)
        ]

    def read(
        self, page: ImageLike, top: int = 3, *, color: ColorOrder = "bgr"
    ) -> tuple[ReadGlyph, ...]:
        """Read every character on a page, in reading order; see `hcr_runtime.page.read_page`.

        Args:
            page: An image, as of `classify`, of many characters.
            top: How many candidates to return for each character, 1 or more.
            color: Order of an array's channels.

        Raises:
            ImageError: `page` is no image, or beyond the limits; or `color` is another.
            HcrError: `top` is no whole number of 1 or more.
            EngineError: The engine cannot run the model.

        >>> import numpy as np
        >>> Classifier.load("arabic-letters").read(np.full((240, 320), 255, np.uint8))
        ()
        """
        from hcr_runtime.page import read_page  # what reads single letters starts without it

        return read_page(read_pixels(page, color, self.limits), self, top)

    def look(self, images: Sequence[ImageLike], color: ColorOrder = "bgr") -> list[Reading]:
        """Read images, twice where they need it; what `classify_batch` and `explain` tell of.

        Args:
            images: A sequence of images, each as of `classify`, one at least.
            color: Order of an array's channels.

        Raises:
            ImageError: As of `classify_batch`.
            EngineError: The engine cannot run the model.

        >>> import numpy as np
        >>> (reading,) = Classifier.load("arabic-letters").look([np.full((64, 64), 255, np.uint8)])
        >>> reading.extent.longer, reading.again
        (0, None)
        """
        return self._read([self._see(image, color) for image in check_images(images, ImageError)])

    def _read(self, seen: list[_Seen]) -> list[Reading]:
        """Read images, and again where they need it."""
        if not seen:
            return []
        readings = [
            Reading(one.extent, row, one.near)
            for one, row in zip(seen, self._scores(seen), strict=True)
        ]
        unclear = [
            (index, one.shown)
            for index, one in enumerate(seen)
            if one.shown is not None and (one.beset or not readings[index].is_sure(self.spec))
        ]
        if unclear:
            self._look_again(seen, readings, unclear)
        return readings

    def _look_again(
        self, seen: list[_Seen], readings: list[Reading], unclear: list[tuple[int, GrayImage]]
    ) -> None:
        """Look a second time at some images, whose readings may be replaced."""
        # What reads clean crops starts without it.
        from hcr_runtime.second_look import VERSION, look_again

        looks = []
        for index, shown in unclear:
            one = seen[index]
            # What was read surely in one light was read in the right polarity; frames confuse it.
            known = readings[index].is_sure(self.spec) and not one.uneven
            dark = is_dark(shown) if known else None
            extent = one.extent
            looks.append(look_again(shown, extent.lined, dark, extent.ringed, extent.underlined))
        again = [_Seen(*prepare_pixels(look.image, self.spec, version=VERSION)) for look in looks]
        scores = self._scores(again)
        for (index, shown), look, one, row in zip(unclear, looks, again, scores, strict=True):
            second = Reading(one.extent, row, look.image, version=VERSION)
            longer = one.extent.longer * max(shown.shape) / max(shrink(look.image).shape)
            cut = seen[index].sheet is not None
            readings[index] = choose(readings[index], second, look, longer, cut, self.spec)

    def _told(self, reading: Reading, top: int, allowed: NDArray[np.bool_] | None) -> Prediction:
        told = predict(reading.extent, reading.scores, self.spec, top, allowed)
        if not told.accepted:
            return told
        disputed = reading.disputed
        # What may not be answered disputes nothing.
        known = allowed is None or (disputed and allowed[self.spec.texts.index(disputed)])
        if disputed and known and disputed != told.label:
            between = (told.label, disputed)
            return replace(told, accepted=False, reason="ambiguous", between=between)
        return replace(told, accepted=False, reason="unsure") if reading.doubted else told

    def _see(self, image: ImageLike, color: ColorOrder, whole: bool = True) -> _Seen:
        """Prepare an image; its `crowd` is asked for where more than a glyph may be shown."""
        pixels = self._pixels(image, color)
        near = None
        if whole and self.spec.preprocess.fit == "center" and max(pixels.shape) > WORK_SIDE:
            from hcr_runtime.close_up import close_up  # what reads small crops starts without it

            near = close_up(to_gray(pixels, "bgr", self.limits))
        if near is not None:
            pixels = near
        tensor, extent = prepare_pixels(pixels, self.spec, whole)
        beside = extent.crowded or extent.ringed or extent.underlined
        if not (whole and (beside or extent.solid)):
            return _Seen(tensor, extent, near)
        crowd = shrink(to_gray(pixels, "bgr", self.limits))
        sheet = cut_sheet(crowd)
        if sheet is None and not beside:
            return _Seen(tensor, extent, near)
        shadowed = shadow_depth(crowd) > 0 or band_depth(crowd) > 0
        return _Seen(tensor, extent, near, crowd, sheet, shadowed)

    def _scores(self, seen: list[_Seen]) -> Scores:
        """Calibrated probabilities of images, of which there is one at least, in one inference."""
        return probabilities(self.engine.run(np.stack([one.tensor for one in seen])), self.spec)

    def _pixels(self, image: ImageLike, color: ColorOrder) -> Pixels:
        if self.spec.input.channels != 1:
            return to_bgr(image, color, self.limits)
        if self.spec.preprocess.fit != "center":  # what is shown whole need not be ink
            return to_gray(image, color, self.limits)
        return gray_of_ink(read_pixels(image, color, self.limits))
