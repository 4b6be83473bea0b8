"""The commands ``hcr-edge synth …``: videos of real letters, with the truth beside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from hcr_edge.cli.console import answer, say, working
from hcr_edge.cli.options import DEFAULT_MODEL, SETS_HELP, DataDir, Json, Model, Overwrite
from hcr_edge.cli.outputs import check_new
from hcr_edge.datasets import Dataset, load_dataset, match_labels
from hcr_edge.errors import DataError
from hcr_edge.synth import Script, compose, read_truth, score, truth_file, write_script, write_video
from hcr_runtime import Classifier, Frame, watch
from hcr_runtime.watching import MODES

Source = Annotated[str, typer.Option(help=SETS_HELP)]
Split = Annotated[str, typer.Option(help="Which part of the set.")]


def video(
    out: Annotated[Path, typer.Option(help="An .avi file; the truth goes beside, as .json.")],
    dataset: Source = "samples",
    split: Split = "test",
    mode: Annotated[str, typer.Option(help="guide: one at a time; page: several.")] = "guide",
    count: Annotated[int, typer.Option(min=1, help="How many characters are shown.")] = 20,
    distract: Annotated[
        float, typer.Option(min=0, help="Seconds each of blank paper, a moving hand, and print.")
    ] = 5.0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels.")] = "640x480",
    fps: Annotated[float, typer.Option(min=1, max=240, help="Frames a second.")] = 30.0,
    seed: Annotated[int, typer.Option(min=0, help="The same gives the same video.")] = 0,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Show its classes alone.")
    ] = None,
    data_dir: DataDir = None,
    overwrite: Overwrite = False,
) -> None:
    """Compose a video of letters on paper: shake, zoom, shadow, blur, noise, changing exposure.

    Example: [bold]hcr-edge synth video --out clip.avi --dataset ahcd --seed 1[/]
    """
    width, height = _parse_size(size)
    if mode not in MODES:
        raise DataError(f"there is no mode {mode!r}", allowed=" or ".join(MODES))
    if out.suffix.lower() != ".avi":
        raise DataError(f"{out} is no .avi file", allowed="a name that ends in .avi")
    for path in (out, truth_file(out)):
        check_new(path, overwrite)
    with working(f"reading {dataset}") as status:
        spec = None if model is None else Classifier.load(model).spec
        labels = None if spec is None else spec.labels
        data = load_dataset(dataset, split, data_dir=data_dir, label_set=labels)
        if spec is not None:
            data = match_labels(data, spec)
        script = write_script(
            data,
            mode="page" if mode == "page" else "guide",
            count=count,
            distract=distract,
            width=width,
            height=height,
            rate=fps,
            seed=seed,
        )
        written = write_video(out, script, _told(compose(script, data), script.seconds, status))
    say(f"{out}: {written} frames, {len(script.shown)} characters; {truth_file(out)}")


def _told(frames: Iterable[Frame], seconds: float, status: Any) -> Iterator[Frame]:
    """Pass frames on, and say how far it is."""
    for frame in frames:
        if frame.index % 30 == 0:
            status.update(f"drawing {frame.seconds:.0f} of {seconds:.0f} s")
        yield frame


def measure(
    clip: Annotated[Path, typer.Argument(help="A video of 'synth video', its truth beside.")],
    model: Model = DEFAULT_MODEL,
    dataset: Source = "samples",
    split: Split = "test",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Watch a composed video, and hold the events against the truth.

    Example: [bold]hcr-edge synth measure clip.avi --model arabic-letters --dataset ahcd[/]
    """
    script = read_truth(clip)
    classifier = Classifier.load(model)
    with working(f"watching {clip}"):
        data = load_dataset(dataset, split, data_dir=data_dir)
        _check_source(script, data, clip)
        events = list(watch(str(clip), classifier, script.mode))
        found = score(script, events, data, classifier).to_dict()
    if as_json:
        answer(found)
        return
    say(f"{found['right']} of {found['shown']} characters: one stable event, with the right label")
    say(f"{found['wrong']} wrong, {found['missed']} missed, {found['repeated']} repeated")
    say(f"{found['clean_right']} of the {found['clean']} that the model reads in the image itself")
    delay = found["delay"]
    say(f"stable {delay['p50']:.2f} s after coming to rest; 95 % within {delay['p95']:.2f} s")
    for kind, minutes in found["minutes"].items():
        say(f"{found['false_events'][kind]} false events in {minutes:.1f} minutes of {kind}")
    say(f"{found['false_events']['other']} other false events")


def _check_source(script: Script, data: Dataset, clip: Path) -> None:
    """The truth counts images of one part of one set."""
    if script.source != f"{data.title} {data.split}":
        raise DataError(
            f"{clip} shows {script.source}, not {data.title} {data.split}",
            hint="give the same --dataset and --split",
        )


def _parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise DataError(f"--size {text} is no size", allowed="WIDTHxHEIGHT, e.g. 640x480")
    size = int(width), int(height)
    if not all(64 <= side <= 4096 for side in size):
        raise DataError(f"--size {text} is too small or too large", allowed="64 to 4096")
    return size


COMMANDS: dict[str, Callable[..., Any]] = {"video": video, "measure": measure}
