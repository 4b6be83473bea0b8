"""The command ``hcr-edge webcam``: characters before a camera, as events."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, TextIO

import cv2
import typer

from hcr_edge.cli import interrupt
from hcr_edge.cli.console import answer_line, err, say
from hcr_edge.cli.options import DEFAULT_MODEL, Model
from hcr_edge.errors import DataError
from hcr_edge.growing_text import GrowingText
from hcr_edge.overlay import Meter, annotate
from hcr_edge.serve import WebPage, parse_address
from hcr_edge.uncertain import UncertainFolder
from hcr_edge.whole_file import write_whole
from hcr_edge.window import Window
from hcr_runtime import (
    Classifier,
    Event,
    Frame,
    HcrError,
    LiveSource,
    Watcher,
    frames,
    shipped_models,
)
from hcr_runtime.address import is_live
from hcr_runtime.recording import Recorder
from hcr_runtime.watching import MODES

# How long anything is waited for before signals and the window's keys are looked at (seconds).
TICK = 0.1


def webcam(
    source: Annotated[
        str,
        typer.Option(
            help="A camera's number, /dev/video* or /dev/v4l/*, an rtsp:// or http:// stream,"
            " a video, a recording, or a folder of images."
        ),
    ] = "0",
    model: Model = DEFAULT_MODEL,
    mode: Annotated[
        str, typer.Option(help="guide: one character in the box; page: every one in the frame.")
    ] = "guide",
    window: Annotated[
        bool | None,
        typer.Option(
            "--window/--no-window",
            help="Show the picture; by default unless --json or --serve is given."
            " Keys: q quits, space pauses, s saves the crop, m switches the model.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object an event (see docs/camera.md).")
    ] = False,
    text: Annotated[
        Path | None,
        typer.Option(help="Append what becomes stable to this file, in a page's lines."),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Store what comes in; --source FILE replays it.")
    ] = None,
    serve: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help="Show a web page.")
    ] = None,
    token: Annotated[
        str, typer.Option(help="What the page asks for where others can reach it.")
    ] = "",
    save_uncertain: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep crops that the model was unsure of.")
    ] = None,
) -> None:
    """Read what is written before a camera: each character once, when it lies still.

    Examples: [bold]hcr-edge webcam[/], [bold]hcr-edge webcam --mode page --source
    rtsp://camera/1[/], [bold]hcr-edge webcam --source clip.avi --json[/],
    [bold]hcr-edge webcam --serve 8080[/]
    """
    if mode not in MODES:
        raise HcrError(f"there is no mode {mode!r}", allowed=" or ".join(MODES))
    if token and serve is None:
        raise HcrError("--token was given without --serve", hint="--serve 8080 shows a web page")
    address = None if serve is None else parse_address(serve)
    with ExitStack() as stack:
        session = Session(source, model, "page" if mode == "page" else "guide", stack)
        if text is not None:
            session.text = GrowingText(stack.enter_context(_open_text(text)), lines=mode == "page")
        if window if window is not None else not as_json and serve is None:
            session.window = Window()
            stack.callback(session.window.close)
        session.open()
        if address is not None:
            session.page = WebPage(*address, session.health, token)
            stack.callback(session.page.close)
            err.print(f"serving on {session.page.url}", markup=False)
        if record is not None:
            session.recorder = stack.enter_context(Recorder(record))
        if save_uncertain is not None:
            session.uncertain = UncertainFolder(save_uncertain)
        session.as_json = as_json
        # An interrupt between two frames loses no event.
        with interrupt.deferred() as stopping:
            session.run(stopping)
            session.finish()
            if stopping():
                err.print("stopped")


class Session:
    """One run of the command.

    Args:
        source: See `frames`.
        model: Name or file.
        mode: See `Watcher`.
        stack: Closes the source when the command ends.
    """

    def __init__(self, source: str, model: str, mode: Any, stack: ExitStack) -> None:
        self.watcher = Watcher(Classifier.load(model), mode)
        self.source = source
        self.live = stack.enter_context(LiveSource(source)) if is_live(source) else None
        self.window: Window | None = None
        self.recorder: Recorder | None = None
        self.uncertain: UncertainFolder | None = None
        self.page: WebPage | None = None
        self.as_json = False
        self.text: GrowingText | None = None
        self.meter = Meter()
        self.seen = 0
        self.paused = False
        self._last: Frame | None = None
        self._coming = self._frames()
        self._begin = 0.0
        self._told = 0

    def open(self) -> None:
        """Wait for the first frame, so that a source that gives none leaves nothing behind.

        Raises:
            CameraError: See `frames`.
        """
        first = next((frame for frame in self._coming if frame is not None), None)
        self._coming = itertools.chain([first], self._coming)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Watch until the source ends or the user does."""
        self._begin = time.monotonic()
        for frame in self._coming:
            if stopping():
                break
            if frame is not None and not self.paused:
                self._see(frame)
            elif self.live is not None and self._last is not None:
                self._show(self._last)  # the state has changed
            if not self._wait(frame, stopping):
                break

    def finish(self) -> None:
        """Tell what remains to be told, and where a file told nothing, why."""
        self._tell(self.watcher.close())
        if self.uncertain is not None:
            kept = self.uncertain.kept
            crops = "1 crop" if kept == 1 else f"{kept} crops"
            err.print(f"{crops} kept in {self.uncertain.folder}", markup=False)
        if self._told or self.live is not None or self._last is None:
            return
        folder = Path(self.source).is_dir()
        err.print(
            f"note: no character was told in {self.seen} frames ({self._last.seconds:.1f} s)"
            + ("; a folder's images are frames, 30 a second" if folder else "")
            + ": 'hcr-edge classify' and 'hcr-edge read' are for photographs",
            markup=False,
        )

    def health(self) -> dict[str, Any]:
        """What ``/healthz`` answers."""
        live = self.live
        return {
            "status": "ok" if live is None or live.state == "live" else live.state,
            "frames": self.seen,
            "fps": round(self.meter.rate, 1),
            "latency_ms": round(1000 * self.meter.latency, 1),
            "dropped": live.dropped if live else 0,
            "damaged": live.damaged if live else 0,
            "reopened": live.reopened if live else 0,
        }

    def _frames(self) -> Iterator[Frame | None]:
        """Give frames, and None where a live source gave none for a while."""
        if self.live is None:
            yield from frames(self.source)
            return
        while True:
            yield self.live.next(TICK)

    def _wait(self, frame: Frame | None, stopping: Callable[[], bool]) -> bool:
        """Obey keys, and show a file at its own pace to whoever looks on; False to quit."""
        if self.live is not None or frame is None:
            return self._obey(0.0)
        paced = self.window is not None or self.page is not None
        while True:
            now = time.monotonic()
            ahead = self._begin + frame.seconds - now if paced else 0.0
            held = self.paused
            if stopping() or not self._obey(TICK if held else min(ahead, TICK)):
                return False
            if held:
                self._begin += time.monotonic() - now  # a pause stops the file's clock
            elif ahead <= TICK and not self.paused:
                return True

    def _see(self, frame: Frame) -> None:
        if self.recorder is not None:
            self.recorder.add(frame)
        events = self.watcher.see(frame)
        self.seen += 1
        self._last = frame
        if self.uncertain is not None:
            self.uncertain.look(self.watcher, frame.seconds)
        self._tell(events)
        self._show(frame)
        self.meter.note(frame)

    def _show(self, frame: Frame) -> None:
        page = self.page if self.page is not None and self.page.board.viewers else None
        if self.window is None and page is None:
            return
        picture = annotate(frame, self.watcher, self._status())
        if self.window is not None:
            self.window.show(picture)
        if page is not None:
            page.board.show(picture)

    def _status(self) -> str:
        parts = [
            self.watcher.classifier.spec.name,
            f"{self.meter.rate:.0f} FPS",
            f"{1000 * self.meter.latency:.0f} ms",
        ]
        if self.live is not None:
            parts += [self.live.state, f"dropped {self.live.dropped}"]
        return "  ".join([*parts, *(["paused"] if self.paused else [])])

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            if self.as_json:
                answer_line(event.to_dict())
            elif event.event == "stable":
                say(f"{event.t:.2f} s\t{event.label}  {event.name}  {event.confidence:.1%}")
            if self.page is not None:
                self.page.board.tell(event)
            self._told += event.event == "stable"
        if self.text is not None:
            self.text.tell(events, self.watcher.glyphs)

    def _obey(self, wait: float) -> bool:
        """Do what a key asks for, after waiting for it (seconds); False to quit."""
        if self.window is None:
            time.sleep(max(0.0, wait))
            return True
        command = self.window.command(round(1000 * max(0.0, wait)))
        if command == "pause":
            self.paused = not self.paused
            if self._last is not None:
                self._show(self._last)
        elif command == "save":
            self._save_crop()
        elif command == "model":
            self._switch_model()
        return command != "quit"

    def _save_crop(self) -> None:
        crops = [glyph.crop for glyph in self.watcher.glyphs if glyph.crop is not None]
        if not crops:
            err.print("nothing to save")
            return
        number = 0
        while (path := Path(f"crop-{number:03d}.png")).exists():
            number += 1
        write_whole(path, bytes(cv2.imencode(".png", crops[0])[1]))
        err.print(f"saved {path}", markup=False)

    def _switch_model(self) -> None:
        names = list(shipped_models())
        current = self.watcher.classifier.spec.name
        following = names[(names.index(current) + 1) % len(names) if current in names else 0]
        self._tell(self.watcher.close())
        self.watcher.classifier = Classifier.load(following)
        err.print(f"reading with {following}", markup=False)


def _open_text(path: Path) -> TextIO:
    """Open the file of `--text` before anything is watched for it."""
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror or error}", hint="give --text another file"
        ) from error


COMMANDS = (webcam,)
