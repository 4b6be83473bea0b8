"""The window of `webcam`, and its keys."""

from __future__ import annotations

import os
import sys
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_runtime import CameraError

TITLE = "hcr-edge"
INSTEAD = "give --no-window, --json, or --serve PORT for a web page"

Command = Literal["quit", "pause", "save", "model", ""]
KEYS: dict[int, Command] = {
    ord("q"): "quit",
    27: "quit",
    ord(" "): "pause",
    ord("s"): "save",
    ord("m"): "model",
}


def check_screen() -> None:
    """Raise `CameraError` where no window can be shown: OpenCV would abort the process."""
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise CameraError("there is no screen to show a window on", hint=INSTEAD)
    gui = [line for line in cv2.getBuildInformation().splitlines() if "GUI:" in line]
    if gui and gui[0].split("GUI:")[1].strip() == "NONE":
        raise CameraError("this OpenCV is the headless variant, without windows", hint=INSTEAD)


class Window:
    """A window that is open until `close`.

    Raises:
        CameraError: There is no screen, or OpenCV has no windows.
    """

    def __init__(self) -> None:
        check_screen()
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise CameraError(f"no window can be shown ({error.err})", hint=INSTEAD) from error
        self._shown = False

    def show(self, image: NDArray[np.uint8]) -> None:
        """Show a picture: BGR, uint8, shape (H, W, 3)."""
        cv2.imshow(TITLE, image)
        self._shown = True

    def command(self, milliseconds: int = 1) -> Command:
        """Wait for a key, and say what it asks for; a window that was closed asks to quit."""
        key = cv2.waitKey(max(1, milliseconds)) & 0xFF
        if self._shown and not _is_open():
            return "quit"
        return KEYS.get(key, "")

    def close(self) -> None:
        """Close it."""
        cv2.destroyAllWindows()


def _is_open() -> bool:
    try:
        return bool(cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1)
    except cv2.error:  # Qt knows nothing more of a window that was the last
        return False
