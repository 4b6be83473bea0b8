"""Bad input gets one clear line and exit code 2, no traceback, and nothing is written."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from hcr_edge.checkpoints import find_checkpoint
from hcr_runtime import shipped_models
from tests.edge.published_files import AHCD_ZIP

NAME = "arabic-letters"
AHCD = ("--dataset", "ahcd", "--data-dir")
Tables = dict[str, bytes]


def _cut(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, samples_dir: Path, exported: Path) -> Path:
    """A folder with every sort of bad file; the commands run in it."""
    root = tmp_path_factory.mktemp("bad")
    (root / "text.png").write_text("no image", encoding="utf-8")
    (root / "text.avi").write_text("no video", encoding="utf-8")
    (root / "empty.png").write_bytes(b"")
    _cut(samples_dir / "arabic-letters" / "test" / "U+0628" / "00.png", root / "cut.png")
    _cut(samples_dir / "photos" / "beh-blue-pen.jpg", root / "cut.jpg")
    cv2.imwrite(str(root / "white.png"), np.full((64, 64), 255, np.uint8))
    (root / "folder").mkdir()
    (root / "letters" / "beh").mkdir(parents=True)
    shutil.copyfile(root / "text.png", root / "letters" / "beh" / "text.png")
    (root / "persian" / "peh").mkdir(parents=True)
    shutil.copyfile(root / "white.png", root / "persian" / "peh" / "white.png")

    _cut(shipped_models()[NAME], root / "cut.onnx")
    _cut(find_checkpoint(NAME), root / "cut.keras")
    (root / "cut.tflite").write_bytes(b"\x1c\0\0\0TFL3 and no more")
    model = onnx.load(shipped_models()[NAME])
    del model.metadata_props[:]
    onnx.save(model, root / "bare.onnx")
    with (
        zipfile.ZipFile(find_checkpoint(NAME)) as source,
        zipfile.ZipFile(root / "bare.keras", "w") as target,
    ):
        for name in source.namelist():
            if not name.startswith("hcr_edge/"):
                target.writestr(name, source.read(name))

    shutil.copytree(exported, root / "bundle")
    shutil.copytree(exported, root / "half-bundle")
    (root / "half-bundle" / "labels.txt").unlink()
    (root / "recipe.yaml").write_text("name: m\narch: edge-s\nepochs: ten\n", encoding="utf-8")
    (root / "words.yaml").write_text("just words", encoding="utf-8")
    (root / "damaged").mkdir()
    (root / "damaged" / AHCD_ZIP).write_bytes(b"PK\3\4 cut short")
    return root


@pytest.fixture
def refused(
    cli, here: Path, tree, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a command that must be refused; returns the one line that it says."""

    def run(*arguments: object, in_folder: Path = here) -> str:
        monkeypatch.chdir(in_folder)
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        before = tree(in_folder)
        capfd.readouterr()
        answer = cli(*arguments)
        assert answer.code == 2
        assert answer.out == ""
        assert len(answer.errors) == 1, answer.err
        line = answer.errors[0]
        assert line.startswith("error: ")
        assert capfd.readouterr() == ("", ""), "native code speaks beside the one line"
        assert tree(in_folder) == before, "nothing is written"
        return line

    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        # Images.
        (("classify", "absent.png"), "absent.png"),
        (("classify", "text.png"), "text.png is no image"),
        (("classify", "empty.png"), "empty.png is empty"),
        (("classify", "cut.png"), "cut.png is no image, or cut short"),
        (("classify", "cut.jpg"), "cut.jpg is no image, or cut short"),
        (("classify", "white.png"), "white.png: the image is empty"),
        (("classify", "folder"), "cannot read folder"),
        (("evaluate", NAME, "--dataset", "folder:letters"), "text.png"),
        (("export", NAME, "--out", "new", "--dataset", "folder:letters"), "text.png"),
        # Videos.
        (("webcam", "--no-window", "--source", "absent.avi"), "there is no video absent.avi"),
        (("webcam", "--no-window", "--source", "text.png"), "text.png"),
        (("webcam", "--no-window", "--source", "text.avi"), "is it a video, and whole?"),
        (("synth", "measure", "absent.avi"), "there is no video absent.avi"),
        (("webcam", "--no-window", "--source", "99"), "camera 99 cannot be opened"),
        (("webcam", "--source", "text.png"), "--no-window"),  # no screen
        # Model files.
        (("classify", "white.png", "--model", "cut.onnx"), "cut.onnx is cut short"),
        (("classify", "white.png", "--model", "cut.tflite"), "cut.tflite is cut short"),
        (("classify", "white.png", "--model", "bare.onnx"), "bare.onnx has no description"),
        (("classify", "white.png", "--model", "absent.onnx"), "there is no model file"),
        (("inspect", "cut.onnx"), "cut.onnx is cut short"),
        (("inspect", "cut.keras"), "cut.keras is cut short"),
        (("inspect", "bare.keras"), "bare.keras has no description"),
        (("inspect", "text.png"), "text.png is no model file"),
        (("evaluate", "cut.keras", "--dataset", "samples"), "cut.keras is cut short"),
        (("evaluate", "bare.onnx", "--dataset", "samples"), "bare.onnx has no description"),
        (("evaluate", "folder", "--dataset", "samples"), "folder"),
        (("export", "cut.keras", "--out", "new"), "cut.keras is cut short"),
        (("export", "bare.keras", "--out", "new"), "bare.keras does not say all that is needed"),
        (("export", "folder", "--out", "new"), "folder is no run folder"),
        (("export", "bare.onnx", "--out", "new"), "is no Keras model"),
        # Unknown names, with the nearest known ones.
        (("classify", "white.png", "-m", "arabic-leters"), "did you mean arabic-letters"),
        (("inspect", "arabic-leters"), "did you mean arabic-letters"),
        (("evaluate", "arabic-leters", "--dataset", "samples"), "did you mean arabic-letters"),
        (("export", "arabic-leters", "--out", "new"), "did you mean arabic-letters"),
        (("export", NAME, "--out", "new", "--artifact", "int8.onx"), "did you mean int8.onnx"),
        (("evaluate", NAME, "--dataset", "ahdc"), "did you mean ahcd"),
        (("train", "--arch", "edge", "--out", "new"), "did you mean edge-"),
        (("train", "--recipe", "edge-s", "--arch", "edge", "--out", "new"), "did you mean edge-"),
        # Data.
        (("evaluate", NAME, *AHCD, "folder"), "ahcd is not in folder"),
        (("evaluate", NAME, *AHCD, "absent"), "there is no folder absent"),
        (("evaluate", NAME, *AHCD, "damaged"), "is damaged"),
        (("evaluate", NAME, "--dataset", "ahcd"), "HCR_EDGE_DATA"),
        (("evaluate", NAME, "--dataset", "samples", "--split", "dev"), "no split 'dev'"),
        (("evaluate", NAME, "--dataset", "folder:absent"), "there is no folder absent"),
        (("evaluate", NAME, "--dataset", "folder:text.png"), "text.png: it is a file"),
        (("evaluate", NAME, "--dataset", "folder:folder"), "holds no images"),
        (("evaluate", NAME, "--dataset", "folder:persian"), "found: peh"),
        (("export", NAME, "--out", "new", "--data-dir", "damaged"), "is damaged"),
        (("verify", "bundle", "--data-dir", "damaged"), "is damaged"),
        (("train", "--arch", "edge-s", "--out", "new", "--data-dir", "damaged"), "is damaged"),
        (
            ("train", "--arch", "edge-s", "--out", "new", "--data-dir", "absent"),
            "there is no folder absent",
        ),
        (("train", "--arch", "edge-s", "--out", "new", "--dataset", "samples"), "'train'"),
        # Recipes.
        (("train", "--out", "new"), "--arch or --recipe"),
        (("train", "--recipe", "absent.yaml", "--out", "new"), "there is no recipe"),
        (("train", "--recipe", "recipe.yaml", "--out", "new"), "epochs"),
        (("train", "--recipe", "words.yaml", "--out", "new"), "holds no recipe"),
        (("train", "--arch", "edge-s", "--learning-rate", "0", "--out", "new"), "learning_rate"),
        # Bundles and where they are to go.
        (("export", NAME, "--out", "bundle"), "bundle exists; give --overwrite"),
        (("export", NAME, "--out", "folder"), "folder exists"),
        (("export", NAME, "--out", "letters", "--overwrite"), "letters exists and is no bundle"),
        # No --overwrite would help.
        (("export", NAME, "--out", "letters"), "letters exists and is no bundle; choose another"),
        (("export", NAME, "--out", "text.png/new"), "cannot write"),
        (("train", "--arch", "edge-s", "--out", "text.png"), "text.png is a file"),
        (("train", "--arch", "edge-s", "--out", "letters"), "letters is no run folder"),
        (("verify", "folder"), "folder is no bundle"),
        (("verify", "absent"), "absent is no bundle"),
        (("verify", "half-bundle"), "labels.txt is missing"),
        (("selftest", "folder"), "folder is no bundle"),
        (("selftest", "absent"), "absent is no bundle"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_refused(arguments: tuple[str, ...], says: str, refused: Callable[..., str]) -> None:
    assert says in refused(*arguments)


@pytest.mark.parametrize(
    "options",
    [
        ("verify", "bundle", "--max-drop", "nan"),  # a limit that no comparison exceeds
        ("verify", "bundle", "--min-agreement", "nan"),
        ("verify", "bundle", "--min-agreement", "99.5%"),
        ("export", NAME),  # no folder named
        ("classify", "white.png", "--top", "0"),
        ("train", "--arch", "edge-s", "--out", "new", "--fold", "5"),
        ("write", "white.png"),  # no such command
    ],
)
def test_wrong_options(options: tuple[str, ...], cli, here: Path, tree, monkeypatch) -> None:
    """The option parser says in its own words what is wrong."""
    monkeypatch.chdir(here)
    before = tree(here)
    answer = cli(*options)
    assert (answer.code, answer.out) == (2, "")
    assert "Usage: " in answer.err
    assert tree(here) == before


def test_folders_numbered_from_one(refused: Callable[..., str], tmp_path: Path) -> None:
    for number in range(1, 29):
        (tmp_path / "letters" / str(number)).mkdir(parents=True)
    line = refused("evaluate", NAME, "--dataset", "folder:letters", in_folder=tmp_path)
    assert "numbered from 1 to 28" in line


@pytest.fixture(scope="module")
def tables(data_dir: Path) -> Tables:
    """AHCD's test part as its publisher gives it."""
    with zipfile.ZipFile(data_dir / "ahcd" / AHCD_ZIP) as archive:
        return {name: archive.read(name) for name in archive.namelist() if "csvTest" in name}


@pytest.mark.parametrize(
    ("part", "before", "after", "says"),
    [
        ("Label", b"\n", b",0\n", "2 columns"),  # a wrong number of columns
        ("Label", b"28\n", b"29\n", "row 55: label 29; allowed: 1 to 28"),
        ("Label", b"28\n", b"", "rows"),
        ("Images", b"0,0\n", b"0\n", "columns"),
        ("Images", b"255", b"999", "out of range"),
        ("Images", b"255", b"white", "white"),
    ],
)
def test_damaged_tables(
    *,
    part: str,
    before: bytes,
    after: bytes,
    says: str,
    tables: Tables,
    tmp_path: Path,
    refused: Callable[..., str],
) -> None:
    for name, data in tables.items():
        text = data.replace(b"\r\n", b"\n")
        changed = text.replace(before, after) if part in name else text
        assert (changed != text) == (part in name)
        (tmp_path / name).write_bytes(changed)
    line = refused("evaluate", NAME, *AHCD, ".", in_folder=tmp_path)
    assert says in line
    assert f"csvTest{part}" in line
