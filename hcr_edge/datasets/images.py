"""Images in one flat file of pixels: of one size or each of its own, mapped into memory."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, overload

import numpy as np
from numpy.typing import NDArray

from hcr_edge.errors import DataError

Image = NDArray[np.uint8]


class Images(Sequence[Image]):
    """Grey images that lie in one array.

    Args:
        pixels: uint8 of shape (total pixels,); each image row by row.
        shapes: int32 of shape (N, 2): height and width of each image.
        starts: int64 of shape (N,): where each image begins; by default one behind the other.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        shapes: NDArray[np.int32],
        starts: NDArray[np.int64] | None = None,
    ) -> None:
        sizes = shapes[:, 0].astype(np.int64) * shapes[:, 1]
        self.pixels, self.shapes = pixels, shapes
        self.starts = np.cumsum(sizes) - sizes if starts is None else starts

    def __len__(self) -> int:
        return len(self.shapes)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | list[Image]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        height, width = self.shapes[index].tolist()
        start = int(self.starts[index])
        return self.pixels[start : start + height * width].reshape(height, width)

    def __iter__(self) -> Iterator[Image]:
        return (self[i] for i in range(len(self)))

    @property
    def side(self) -> tuple[int, int] | None:
        """Height and width where all images share them, else None."""
        if not len(self) or (self.shapes != self.shapes[0]).any():
            return None
        height, width = self.shapes[0].tolist()
        return height, width

    def take(self, positions: NDArray[np.integer] | Sequence[int]) -> Images:
        """Return some of the images, or all in another order, without a copy."""
        chosen = np.asarray(positions, np.int64)
        return Images(self.pixels, self.shapes[chosen], self.starts[chosen])


class PixelFile:
    """Takes images one by one, or in blocks, and keeps them in a file.

    Args:
        folder: Where the file is made; None means a temporary one that goes when it is closed.

    Raises:
        DataError: The file cannot be written, here or in any method.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / "pixels.u8"
        # Buffered: images are small, and there are many.
        with _written():
            self._file: IO[bytes] = (
                self.path.open("w+b", buffering=1 << 20)
                if self.path is not None
                else tempfile.TemporaryFile(buffering=1 << 20)  # noqa: SIM115
            )
        self._shapes = array("i")

    def append(self, image: Image) -> None:
        """Add one image (H, W)."""
        with _written():
            self._file.write(np.ascontiguousarray(image).data)
        self._shapes.extend(image.shape)

    def extend(self, block: NDArray[np.uint8]) -> None:
        """Add images of one size, (N, H, W)."""
        with _written():
            self._file.write(np.ascontiguousarray(block).data)
        self._shapes.extend(block.shape[1:] * len(block))

    def finish(self) -> Images:
        """Close the file and map it."""
        shapes = np.array(self._shapes, np.int32).reshape(-1, 2)
        with _written():
            self._file.flush()
            images = Images(_map(self._file), shapes)
        self._file.close()
        return images

    def discard(self) -> None:
        """Close the file."""
        with suppress(OSError):  # what is left in the buffer may not fit
            self._file.close()


@contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"decoded images cannot be written ({error.strerror or error})",
            hint="make room, or let HCR_EDGE_CACHE or TMPDIR name another place",
        ) from error


def map_images(path: Path, shapes: NDArray[np.int32], starts: NDArray[np.int64]) -> Images | None:
    """Map a file of pixels; None where it is too small for the images."""
    if shapes.ndim != 2 or shapes.shape != (len(starts), 2) or (shapes < 0).any():
        return None
    ends = starts + shapes[:, 0].astype(np.int64) * shapes[:, 1]
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < int(ends.max(initial=0)) or int(starts.min(initial=0)) < 0:
            return None
        return Images(_map(file), shapes, starts)


def _map(file: IO[bytes]) -> NDArray[np.uint8]:
    if os.fstat(file.fileno()).st_size == 0:
        return np.empty(0, np.uint8)  # an empty file cannot be mapped
    # A plain array: slices of a memmap carry its attributes along, which costs at every image.
    return np.asarray(np.memmap(file, np.uint8, "r"))
