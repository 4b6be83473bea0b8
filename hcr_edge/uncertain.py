"""Crops that a model was unsure of, kept for a person to sort: the next model's data.

The folder is one that ``folder:DIR`` reads: a folder for each class, in which an image lies as the
model suggests. Whoever corrects them moves images between the folders, and deletes what is none.
"""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import cv2

from hcr_edge.errors import DataError
from hcr_edge.whole_file import write_whole
from hcr_runtime import Watcher
from hcr_runtime.followed import Followed

_log = logging.getLogger(__name__)

SUGGESTIONS = "suggestions.csv"
HEAD = ("file", "suggestion", "confidence", "second", "second_confidence", "model", "seconds")
# A glyph that lay still for so long and was not read is one to learn from (seconds).
PATIENCE = 0.6
# A camera that is left alone must not fill the disk.
MOST = 2000


class UncertainFolder:
    """Keeps one crop of each glyph that lies still and is not read.

    Args:
        folder: Where; made if need be, added to if it is there.

    Attributes:
        folder: Where.
        count: Crops that lie there.
        kept: Of which so many came by this watcher.

    Raises:
        DataError: It is a file.
        OSError: It cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise DataError(f"{folder} is a file", allowed="a folder")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.count = sum(1 for _ in folder.glob("*/*.png"))
        self.kept = 0
        self._kept: set[int] = set()
        self._tell_full()

    def look(self, watcher: Watcher, seconds: float) -> None:
        """Keep what is worth it among the glyphs that are watched now."""
        for glyph in watcher.glyphs:
            since = glyph.path.resting_since
            if since is None or seconds - since < PATIENCE or glyph.state == "stable":
                continue
            if id(glyph) not in self._kept and self.count < MOST:
                self._keep(glyph, watcher.classifier.spec.name, seconds)
        # Python gives numbers of things that are gone to new ones.
        self._kept &= {id(glyph) for glyph in watcher.glyphs}

    def _keep(self, glyph: Followed, model: str, seconds: float) -> None:
        prediction, crop = glyph.prediction, glyph.crop
        if prediction is None or crop is None or not prediction.label:
            return
        self._kept.add(id(glyph))
        folder = self.folder / prediction.codepoint.replace(" ", "_")
        folder.mkdir(exist_ok=True)
        path = self._free(folder)
        write_whole(path, bytes(cv2.imencode(".png", crop)[1]))
        self.count += 1
        self.kept += 1
        self._tell_full()
        second = prediction.top[1] if len(prediction.top) > 1 else None
        self._note(
            path.relative_to(self.folder).as_posix(),
            prediction.label,
            f"{prediction.confidence:.4f}",
            second.label if second else "",
            f"{second.confidence:.4f}" if second else "",
            model,
            f"{seconds:.3f}",
        )

    def _tell_full(self) -> None:
        if self.count >= MOST:
            _log.warning("%s holds %d crops: no more are kept", self.folder, self.count)

    def _free(self, folder: Path) -> Path:
        number = self.count
        while any(self.folder.glob(f"*/{number:05d}.png")):
            number += 1
        return folder / f"{number:05d}.png"

    def _note(self, *row: str) -> None:
        path = self.folder / SUGGESTIONS
        new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(HEAD)
            writer.writerow(row)
