"""Foreign models through the command line, from image files to the runtime's answers."""

from __future__ import annotations

import errno
import gzip
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hcr_edge.cli import main
from hcr_edge.cli.app import describe
from hcr_edge.datasets import load_samples
from hcr_edge.errors import DataError
from hcr_edge.proof_images import MIN_TUNING_IMAGES, calibration_images
from hcr_export._keras import keras
from hcr_runtime import Classifier

REPOSITORY = Path(__file__).parents[2]
TRAIN, TEST = 1500, 500


@pytest.fixture(scope="module")
def notebook(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a notebook leaves behind: digits.h5 of pixels / 255, labels, images, its accuracy."""
    folder = tmp_path_factory.mktemp("notebook")
    pixels, numbers = (
        np.frombuffer(gzip.decompress((data_dir / "mnist" / name).read_bytes()), np.uint8)[skip:]
        for name, skip in (("t10k-images-idx3-ubyte.gz", 16), ("t10k-labels-idx1-ubyte.gz", 8))
    )
    images = pixels.reshape(-1, 28, 28, 1)
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 5, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.005), loss, metrics=["accuracy"])
    model.fit(images[:TRAIN] / 255.0, numbers[:TRAIN], epochs=4, batch_size=32, verbose=0)
    test = slice(TRAIN, TRAIN + TEST)
    _, accuracy = model.evaluate(images[test] / 255.0, numbers[test], verbose=0)
    model.save(folder / "digits.h5")
    for i in range(TRAIN, TRAIN + TEST):
        path = folder / "test" / str(numbers[i]) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), images[i])
    loose = folder / "loose"
    loose.mkdir()
    for i in range(200):
        cv2.imwrite(str(loose / f"{i:03d}.png"), images[i])
    (folder / "digits.txt").write_text("\n".join("0123456789"), encoding="utf-8")
    return {"folder": folder, "accuracy": accuracy}


@pytest.fixture
def ask(notebook: dict[str, Any]) -> tuple[object, ...]:
    folder = notebook["folder"]
    return ("export", folder / "digits.h5", "--labels", folder / "digits.txt", "--normalize", "0-1")


def test_the_runtime_reads_as_the_notebook_did(
    ask, notebook: dict[str, Any], cli, tmp_path: Path
) -> None:
    folder, out = notebook["folder"], tmp_path / "digits"
    kinds = ("--artifact", "float32.onnx", "--artifact", "int8.onnx")
    given = (
        "--calibration",
        f"folder:{folder / 'loose'}",
        "--dataset",
        f"folder:{folder / 'test'}",
    )
    answer = cli(
        *ask, *given, *kinds, "--out", out, "--min-agreement", 97, "--max-drop", 2, "--json"
    )
    assert answer.code == 0, answer.err
    assert "input 28x28x1; fit stretch (by default)" in answer.err
    assert answer.json["keras"]["accuracy"] == pytest.approx(notebook["accuracy"], abs=1e-6)
    classifier = Classifier.load(out / "digits-float32.onnx")
    files = sorted((folder / "test").rglob("*.png"))
    right = [classifier.classify(file).label == file.parent.name for file in files]
    assert np.mean(right) == pytest.approx(notebook["accuracy"], abs=1e-6)
    assert "200 images of folder loose" in (out / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_without_images_the_report_says_synthetic(
    ask, cli, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hcr_edge.proof_images.DRAWN_IMAGES", 40)
    out = tmp_path / "digits"
    lenient = ("--min-agreement", 0, "--max-drop", 100)
    answer = cli(*ask, "--artifact", "int8.onnx", *lenient, "--out", out)
    assert answer.code == 0, answer.err
    assert "note: int8 is calibrated on synthetic images (40): give real ones" in answer.err
    calibrated = Classifier.load(out / "digits-int8.onnx").spec.provenance.calibration
    assert calibrated == "synthetic: 40 images drawn from a font"
    assert calibrated in (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    report = json.loads((out / "parity.json").read_text(encoding="utf-8"))
    assert report["images"]["synthetic"] is True
    # A published set with the same labels need not be what somebody's model reads.
    again = cli("verify", out, *lenient, data=data_dir)
    assert again.code == 0, again.err
    assert "images: 40 images drawn from a font" in again.out


def test_without_labels_parity_is_agreement(
    ask, notebook: dict[str, Any], cli, tmp_path: Path
) -> None:
    loose, out = f"folder:{notebook['folder'] / 'loose'}", tmp_path / "digits"
    answer = cli(*ask, "--artifact", "float32.onnx", "--dataset", loose, "--out", out)
    assert answer.code == 0, answer.err
    assert "they carry no labels: what Keras answers counts as right" in answer.out
    report = json.loads((out / "parity.json").read_text(encoding="utf-8"))
    assert report["images"]["labelled"] is False
    assert report["artifacts"][0]["agreement"] == 1.0


@pytest.fixture
def damaged(notebook: dict[str, Any], tmp_path: Path) -> Path:
    """Two hundred images, three of them damaged."""
    folder = Path(shutil.copytree(notebook["folder"] / "loose", tmp_path / "scans"))
    (folder / "007.png").write_bytes(b"")
    (folder / "070.png").write_bytes((folder / "070.png").read_bytes()[:60])
    (folder / "150.png").write_text("no image", encoding="utf-8")
    return folder


def test_damaged_images_are_named_and_refused(ask, damaged: Path, cli, tmp_path: Path) -> None:
    answer = cli(*ask, "--calibration", f"folder:{damaged}", "--out", tmp_path / "new")
    assert answer.code == 2
    assert len(answer.errors) == 1
    assert "3 of 200 images are damaged" in answer.errors[0]
    for name in ("007.png", "070.png", "150.png", "--skip-damaged"):
        assert name in answer.errors[0]
    assert [item.name for item in tmp_path.iterdir()] == ["scans"]


def test_damaged_images_are_left_out_when_told(
    ask, damaged: Path, cli, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = ("--calibration", f"folder:{damaged}", "--skip-damaged", "--dataset", "drawn")
    lenient = ("--min-agreement", 0, "--max-drop", 100)
    out = tmp_path / "new"
    answer = cli(*ask, *given, "--artifact", "int8.onnx", *lenient, "--out", out)
    assert answer.code == 0, answer.err
    assert "3 of 200 images are damaged and left out" in caplog.text
    assert "007.png" in caplog.text
    assert "197 images of folder scans" in (out / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "missing: --labels FILE"),
        (("--labels", "arabic-letters", "--normalize", "0-1"), "28 labels are given"),
        (("--labels", "absent.txt"), "there is no file of labels absent.txt"),
        (("--spec", "absent.yaml"), "cannot read absent.yaml"),
        (("--fit", "crop"), "fit is 'crop'"),
        (("--channels", "2"), "channels is 2"),
    ],
)
def test_facts_that_are_missing_or_wrong(
    options: tuple[str, ...], says: str, notebook: dict[str, Any], cli, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "new"
    answer = cli("export", notebook["folder"] / "digits.h5", *options, "--out", out)
    assert answer.code == 2
    assert len(answer.errors) == 1
    assert says in answer.errors[0]
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_ours_takes_no_facts(cli, tmp_path: Path) -> None:
    answer = cli("export", "arabic-letters", "--channels", 3, "--out", tmp_path / "new")
    assert answer.code == 2
    assert "carries its own description; leave out --channels" in answer.errors[0]


FULL_DISK = """
import resource, sys
from hcr_edge.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
main()
"""


@pytest.mark.parametrize("size", [0, 20_000])
def test_a_full_disk_leaves_nothing(
    size: int, ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file may grow beyond `size`: at once, and in the middle of the work."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    words = [str(word) for word in (*ask, "--artifact", "float32.onnx", "--out", tmp_path / "new")]
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(size), *words],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=300,
    )
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == 2, result.stderr
    assert len(errors) == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [temporary]
    # onnxruntime leaves a file of its own, whatever happens.
    assert [item.name for item in temporary.iterdir() if item.name != ".ses"] == []


def test_an_error_without_a_file_says_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hcr_edge.cli.app.discard_output", lambda: None)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert describe(full) == "the output: No space left on device"
    monkeypatch.setattr("hcr_edge.cli.app.LEAST_FREE", 1 << 60)
    said = f"{tmp_path}, where temporary files go: No space left on device"
    assert describe(full) == said
    assert describe(OSError(errno.ENOSPC, "full", "/mnt/x.onnx")) == "/mnt/x.onnx: full"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert describe(full) == "the output: No space left on device"
    assert "ulimit -f" in describe(OSError(errno.EFBIG, "File too large"))


def test_auto_needs_images_to_choose_on(tmp_path: Path) -> None:
    """It says how many there must be; of a set that has them it leaves some."""
    image = load_samples("test").encoded(0)
    for number in range(240):
        (tmp_path / f"{number}.png").write_bytes(image)
    spec = Classifier.load("arabic-letters").spec
    name = f"folder:{tmp_path}"
    found = calibration_images(name, None, spec, spare=MIN_TUNING_IMAGES)
    assert len(found.images) == 40
    with pytest.raises(DataError, match="has 240 images; allowed: 328 or more: 300 to choose"):
        calibration_images(name, None, spec, spare=300)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    spec = Classifier.load("arabic-letters").spec
    with pytest.raises(DataError, match=r"it is empty; .*to calibrate, images without"):
        calibration_images(f"folder:{tmp_path}", None, spec)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has none")
@pytest.mark.parametrize("ignored", [False, True])
def test_the_end_of_a_terminal_interrupts(ignored: bool) -> None:
    """Not what nohup started."""
    code = (
        "import os, signal\n"
        f"signal.signal(signal.SIGHUP, signal.SIG_{'IGN' if ignored else 'DFL'})\n"
        "from hcr_edge.cli import interrupt\n"
        "interrupt.listen()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGHUP); print('goes on')\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("goes on" if ignored else "interrupted")


def test_interrupted_while_starting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Importing takes most of a second: Ctrl-C then is answered like any other."""

    class Interrupted:
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "hcr_edge.cli.app", Interrupted())
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"
