"""What happens in a composed video, and its frames.

A script comes first, which says what is shown when; drawing it is another step. Sheets slide over
the paper that lies there, rest, and slide away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from hcr_edge.datasets import Dataset
from hcr_edge.synth.camera import Camera
from hcr_edge.synth.paper import Hand, Picture, Rng, blank_sheet, printed_sheet, write
from hcr_runtime import Box, Frame
from hcr_runtime.image import to_gray
from hcr_runtime.watching import Mode, guide_box

Kind = Literal["blank", "hand", "print"]
KINDS: tuple[Kind, ...] = ("blank", "hand", "print")
# Sheets are larger than the frame, by this factor, so that shake shows no edge.
MARGIN = 1.2
# Letters' longer side, in shares of the guide's box and of the frame's height; no cell of a page
# is filled further than this.
GUIDE_SIDE = (0.3, 0.6)
PAGE_SIDE = (0.09, 0.13)
CELL_SHARE = 0.65
# Seconds for which sheets come, rest, go, and the paper lies bare.
COMES, RESTS, GOES, BARE = (0.3, 0.6), (1.0, 1.6), (0.3, 0.6), (0.6, 1.0)


@dataclass(frozen=True, slots=True)
class Shown:
    """One character that is shown.

    Attributes:
        label: What it is.
        image: Index in the data set.
        box: Where it is when the sheet rests, in pixels, but for shake.
        appears: When its sheet begins to come, in seconds.
        rests: When the sheet lies still.
        leaves: When the sheet begins to go.
        gone: When it has gone.
    """

    label: str
    image: int
    box: Box
    appears: float
    rests: float
    leaves: float
    gone: float


@dataclass(frozen=True, slots=True)
class Distraction:
    """A time in which nothing is to be read: blank paper, a moving hand, a page of print."""

    kind: Kind
    start: float
    end: float


@dataclass(frozen=True)
class Script:
    """What a video shows.

    Attributes:
        mode: ``guide``: one character at a time, in the middle; ``page``: several on a sheet.
        width: Of the frames, in pixels.
        height: Of the frames, in pixels.
        rate: Frames a second.
        seed: Of everything.
        seconds: How long it is.
        source: The data set of the characters.
        shown: Characters, in the order of time, on a sheet in no particular one.
        distractions: In the order of time.
    """

    mode: Mode
    width: int
    height: int
    rate: float
    seed: int
    seconds: float
    source: str
    shown: tuple[Shown, ...]
    distractions: tuple[Distraction, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the script as plain JSON types."""
        return {"schema_version": 1, **asdict(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Script:
        """Read what `to_dict` wrote; KeyError or TypeError where it is something else."""
        values = {key: value for key, value in data.items() if key != "schema_version"}
        shown = tuple(Shown(**{**item, "box": Box(**item["box"])}) for item in values["shown"])
        distractions = tuple(Distraction(**item) for item in values["distractions"])
        return cls(**{**values, "shown": shown, "distractions": distractions})


@dataclass
class Composition:
    """A script while it is being written."""

    rng: Rng
    now: float = 0.0
    shown: list[Shown] = field(default_factory=list)
    distractions: list[Distraction] = field(default_factory=list)

    def rest(self, span: tuple[float, float]) -> float:
        """Let some time pass; returns when it has."""
        self.now += float(self.rng.uniform(*span))
        return self.now


def write_script(
    data: Dataset,
    *,
    mode: Mode = "guide",
    count: int = 20,
    distract: float = 0.0,
    width: int = 640,
    height: int = 480,
    rate: float = 30.0,
    seed: int = 0,
) -> Script:
    """Decide what a video shows: `count` characters, drawn evenly from the classes of `data`.

    Args:
        data: Where the characters come from.
        mode: See `Script`.
        count: How many characters.
        distract: Seconds of each kind of distraction, after the characters.
        width: Of the frames, in pixels.
        height: Of the frames, in pixels.
        rate: Frames a second.
        seed: The same gives the same script.
    """
    rng = np.random.default_rng(seed)
    order = _evenly(data, count, rng)
    plan = Composition(rng)
    plan.rest(BARE)
    while order:
        boxes = _places(mode, width, height, rng)[: len(order)]
        appears = plan.now
        rests, leaves = plan.rest(COMES), plan.rest(RESTS)
        gone = plan.rest(GOES)
        for box in boxes:
            image = order.pop()
            label = data.label_set[int(data.labels[image])].text
            plan.shown.append(Shown(label, image, box, appears, rests, leaves, gone))
        plan.rest(BARE)
    for kind in KINDS if distract > 0 else ():
        start = plan.now
        plan.distractions.append(Distraction(kind, start, plan.rest((distract, distract))))
    return Script(
        mode=mode,
        width=width,
        height=height,
        rate=rate,
        seed=seed,
        seconds=plan.now,
        source=f"{data.title} {data.split}",
        shown=tuple(plan.shown),
        distractions=tuple(plan.distractions),
    )


def compose(script: Script, data: Dataset) -> Iterator[Frame]:
    """Draw a script's frames; the same script gives the same ones.

    Args:
        script: What `write_script` decided.
        data: The data set that it was written for.
    """
    rng = np.random.default_rng([script.seed, 1])
    stage = _Stage(script, data, rng)
    for index in range(int(script.seconds * script.rate)):
        yield Frame(index, round(index / script.rate, 6), stage.frame(index / script.rate))


class _Stage:
    """Keeps the sheets that lie before the camera while a script is drawn."""

    def __init__(self, script: Script, data: Dataset, rng: Rng) -> None:
        self.script, self.data, self.rng = script, data, rng
        self.camera = Camera(rng, script.width, script.height, script.rate)
        self.size = (round(script.width * MARGIN), round(script.height * MARGIN))
        self.bare = blank_sheet(rng, *self.size)
        self.scene: Shown | Distraction | None = None
        self.sheet: Picture | None = None
        self.side = 1.0
        self.hand = Hand(rng)
        # Characters of one sheet share their times.
        self.scenes = {shown.appears: shown for shown in script.shown}

    def frame(self, now: float) -> Picture:
        """Draw what the camera sees at this time."""
        script, camera = self.script, self.camera
        frame = np.zeros((script.height, script.width, 3), np.uint8)
        scene = self._scene(now)
        if scene is not self.scene:
            self.scene = scene
            self._lay_out(scene)
        camera.lay(frame, self.bare, camera.pose(now, (0, 0)))
        motion = (0.0, 0.0)
        if isinstance(scene, Shown) and self.sheet is not None:
            slide, before = self._slide(scene, now), self._slide(scene, now - 1 / script.rate)
            camera.lay(frame, self.sheet, camera.pose(now, slide))
            motion = (slide[0] - before[0], slide[1] - before[1])
        elif isinstance(scene, Distraction) and scene.kind == "hand":
            self.hand.draw(frame, now - scene.start)
        elif isinstance(scene, Distraction) and self.sheet is not None:
            # Print is pushed about, and rests in between.
            drift = 0.06 * script.width * np.sin(np.sin(0.8 * now) * 2)
            camera.lay(frame, self.sheet, camera.pose(now, (float(drift), 0.0)))
        return camera.expose(frame, now, motion)

    def _scene(self, now: float) -> Shown | Distraction | None:
        for shown in self.scenes.values():
            if shown.appears <= now < shown.gone:
                return shown
        for distraction in self.script.distractions:
            if distraction.start <= now < distraction.end:
                return distraction
        return None

    def _lay_out(self, scene: Shown | Distraction | None) -> None:
        self.sheet = None
        if isinstance(scene, Distraction):
            self.bare = blank_sheet(self.rng, *self.size)
            if scene.kind == "print":
                self.sheet = printed_sheet(self.rng, *self.size)
        elif scene is not None:
            self.sheet = blank_sheet(self.rng, *self.size)
            self.side = float(self.rng.choice([-1, 1]))
            left = (self.size[0] - self.script.width) // 2
            top = (self.size[1] - self.script.height) // 2
            for shown in self.script.shown:
                if shown.appears == scene.appears:
                    box = shown.box
                    centre = (box.left + box.width // 2 + left, box.top + box.height // 2 + top)
                    image = to_gray(self.data.encoded(shown.image))
                    write(self.rng, self.sheet, image, centre, box.width)

    def _slide(self, shown: Shown, now: float) -> tuple[float, float]:
        """How far the sheet is from its place."""
        if now < shown.rests:
            away = 1 - _eased((now - shown.appears) / (shown.rests - shown.appears))
        else:
            away = _eased((now - shown.leaves) / (shown.gone - shown.leaves))
        return self.side * away * MARGIN * self.script.width, 0.0


def _eased(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _evenly(data: Dataset, count: int, rng: Rng) -> list[int]:
    """Images of as many classes as there are, at random; each once while there are enough."""
    shuffled = rng.permutation(len(data))
    rank = np.empty(len(data), np.int64)
    for label in np.unique(data.labels).tolist():
        members = shuffled[data.labels[shuffled] == label]
        rank[members] = np.arange(len(members))
    chosen = shuffled[np.argsort(rank[shuffled], kind="stable")][:count]
    rng.shuffle(chosen)
    return [int(i) for i in np.resize(chosen, count)]


def _places(mode: Mode, width: int, height: int, rng: Rng) -> list[Box]:
    """Squares in which the characters of one sheet are written, in pixels of the frame."""
    if mode == "guide":
        guide = guide_box(width, height)
        side = round(guide.width * rng.uniform(*GUIDE_SIDE))
        spare = 0.1 * guide.width
        x = width / 2 + rng.uniform(-spare, spare)
        y = height / 2 + rng.uniform(-spare, spare)
        return [_square(x, y, side)]
    share = rng.uniform(*PAGE_SIDE)
    rows, columns = int(rng.integers(2, 5)), int(rng.integers(3, 6))
    # Beside its shift of a tenth each way a letter, at its largest, keeps to its cell.
    side = round(min(share * height, CELL_SHARE * min(width / columns, height / rows)))
    places = []
    for row in range(rows):
        for column in range(columns):
            x = width * (column + 0.5 + rng.uniform(-0.1, 0.1)) / columns
            y = height * (row + 0.5 + rng.uniform(-0.1, 0.1)) / rows
            places.append(_square(x, y, round(side * rng.uniform(0.85, 1.15))))
    return places


def _square(x: float, y: float, side: int) -> Box:
    return Box(round(x - side / 2), round(y - side / 2), side, side)
