"""What is noted of every image of a set, in one pass, so that sets can be judged without them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.images import Image, Images
from hcr_edge.datasets.orientation import has_bright_ground
from hcr_runtime.ink import extract_ink

# Sides of the pictures by which glyphs are compared: the small one finds, the large one proves.
SMALL, LARGE = 16, 32
# Of the picture's side: how far the ink spreads from its centre (standard deviation).
_SPREAD = 0.2
# A glyph whose ink spreads across its length by less than this share of it is a plain stroke; one
# that spreads over fewer pixels than this is a dot. Both are alike in many people's hands.
_STROKE, _DOT = 0.2, 2.0

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Traits:
    """Traits of N images.

    Attributes:
        digests: uint64 (N, 2): equal for images of equal pixels.
        blank: bool (N,): where the runtime would find no ink.
        bright_ink: bool (N,): ink brighter than its ground.
        rim: float32 (N,): share of the image's rim that is as bright as its ink.
        pictures: uint8 (N, SMALL * SMALL): the glyph, moved and scaled to one place and size.
        scale: float32 (N,): how far the ink spreads, relative to the image's longer side.
        telling: bool (N,): more than a plain stroke or a dot.
    """

    digests: NDArray[np.uint64]
    blank: NDArray[np.bool_]
    bright_ink: NDArray[np.bool_]
    rim: NDArray[np.float32]
    pictures: NDArray[np.uint8]
    scale: NDArray[np.float32]
    telling: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.blank)

    @classmethod
    def join(cls, parts: Sequence[Traits]) -> Traits:
        """Put the traits of several lots of images together."""
        names = [item.name for item in fields(cls)]
        if len(parts) == 1:
            return parts[0]
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def read_traits(images: Images, progress: Progress = lambda done: None) -> Traits:
    """Look at every image once.

    Args:
        images: Grey images.
        progress: Told now and then how many are done.
    """
    count = len(images)
    traits = Traits(
        digests=np.zeros((count, 2), np.uint64),
        blank=np.zeros(count, bool),
        bright_ink=np.zeros(count, bool),
        rim=np.zeros(count, np.float32),
        pictures=np.zeros((count, SMALL * SMALL), np.uint8),
        scale=np.zeros(count, np.float32),
        telling=np.zeros(count, bool),
    )
    for i, image in enumerate(images):
        traits.digests[i] = _digest(image)
        traits.bright_ink[i] = not has_bright_ground(image)
        traits.rim[i] = _inked_rim(image, bool(traits.bright_ink[i]))
        glyph = Glyph.of(image)
        if glyph is None:
            traits.blank[i] = True
            continue
        traits.pictures[i] = glyph.picture(SMALL).ravel()
        traits.scale[i] = glyph.spread / max(glyph.ink.shape)
        traits.telling[i] = glyph.telling
        if i % 1000 == 0:
            progress(i)
    return traits


@dataclass(frozen=True, slots=True)
class Glyph:
    """The ink of one image, and the moments of its distribution.

    Attributes:
        ink: Bright on 0, uint8 (H, W).
        x: Its centre.
        y: Its centre.
        spread: Standard deviation of its distance from the centre, in pixels.
        telling: Whether it is more than a plain stroke or a dot.
    """

    ink: Image
    x: float
    y: float
    spread: float
    telling: bool

    @classmethod
    def of(cls, image: Image) -> Glyph | None:
        """Find the ink of an image; None where there is none."""
        ink = extract_ink(image)
        m = cv2.moments(ink)
        mass = m["m00"]
        if mass == 0:
            return None
        xx, yy, xy = m["mu20"] / mass, m["mu02"] / mass, m["mu11"] / mass
        half, root = (xx + yy) / 2, float(np.hypot((xx - yy) / 2, xy))
        across = np.sqrt(max(half - root, 0.0) / max(half + root, 1e-9))
        spread = float(np.sqrt(max(xx + yy, 0.25)))
        telling = bool(across > _STROKE and spread > _DOT)
        return cls(ink, m["m10"] / mass, m["m01"] / mass, spread, telling)

    def picture(self, side: int) -> Image:
        """Move the glyph's centre to the middle of a square, scaled to one spread; uint8.

        Moments hardly change with noise, where a bounding box would jump.
        """
        scale = LARGE * _SPREAD / self.spread
        middle = (LARGE - 1) / 2
        matrix = np.array(
            [[scale, 0, middle - scale * self.x], [0, scale, middle - scale * self.y]]
        )
        large = cv2.warpAffine(self.ink, matrix, (LARGE, LARGE), flags=cv2.INTER_LINEAR)
        if side != LARGE:
            large = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(large, np.uint8)


def _digest(image: Image) -> NDArray[np.uint64]:
    shape = f"{image.shape[0]} {image.shape[1]} ".encode()
    digest = hashlib.blake2b(shape, digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return np.frombuffer(digest.digest(), np.uint64)


def _inked_rim(image: Image, bright_ink: bool) -> float:
    middle = (int(image.min()) + int(image.max())) / 2
    rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return float(((rim > middle) == bright_ink).mean())
