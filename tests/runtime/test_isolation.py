"""The runtime's wheel, alone in a clean environment: what it needs, holds and imports."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from email.parser import Parser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

RUNTIME = Path(__file__).resolve().parents[2] / "runtime"

# What a device shall never load: the workstation's libraries, and conveniences that are heavy.
UNWANTED = {
    *("cryptography", "fastapi", "atheris"),
    *("tensorflow", "keras", "onnx", "tf2onnx", "ai_edge_litert", "matplotlib", "sklearn"),
    *("scipy", "pandas", "PIL", "typer", "click", "rich", "pydantic", "yaml", "requests"),
    *("hcr_export", "hcr_edge"),
}
# What the wheel requires, beside OpenCV.
WANTED = ("numpy", "onnxruntime")

REPORT = """
import json, sys
sys.stdout.write(json.dumps({"modules": sorted({m.partition(".")[0] for m in sys.modules}), **out}))
"""


def run(command: Iterable[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, RUNTIME]
    done = run(build)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def clean_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes an environment of the wheel and the packages named.

    They are links to what is installed here, so that nothing is downloaded.
    """

    def make(*packages: str, also: Path | None = None) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        links = folder / "links"
        links.mkdir()
        for package in packages:
            spec = importlib.util.find_spec(package)
            assert spec is not None
            assert spec.origin is not None
            (links / package).symlink_to(Path(spec.origin).parent, target_is_directory=True)
        done = run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"])
        assert done.returncode == 0, done.stderr
        (python,) = folder.glob("venv/*/python")
        options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
        pip = [sys.executable, "-m", "pip", "--python", python]
        done = run([*pip, "install", *options, wheel])
        assert done.returncode == 0, done.stderr
        (site,) = folder.glob("venv/lib/*/site-packages")
        folders = [links] if also is None else [links, also]
        (site / "links.pth").write_text("".join(f"{path}\n" for path in folders), "utf-8")
        return python

    return make


@pytest.fixture(scope="module")
def device(clean_environment: Callable[..., Path]) -> Path:
    return clean_environment(*WANTED, "cv2")


def modules_after(python: Path, folder: Path, code: str) -> dict[str, Any]:
    """Run code, whose result is the dict `out`, in an empty folder and nobody's settings."""
    done = run([python, "-I", "-c", code + REPORT], cwd=folder, env={})
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_classifies_with_nothing_else_installed(
    device: Path, tmp_path: Path, samples_dir: Path
) -> None:
    image = samples_dir / "photos" / "jeem-black-pen.jpg"
    out = modules_after(
        device,
        tmp_path,
        "import hcr_runtime\n"
        "classifier = hcr_runtime.Classifier.load('arabic-letters')\n"
        f"out = {{'name': classifier.classify({str(image)!r}).name,"
        " 'file': hcr_runtime.__file__}\n",
    )
    assert out["name"] == "jeem"
    # It was the wheel that ran, and not this working copy.
    assert Path(out["file"]).is_relative_to(device.parents[1])
    assert {"numpy", "cv2", "onnxruntime"} <= set(out["modules"])
    assert not UNWANTED & set(out["modules"])
    assert not list(tmp_path.iterdir())


# Which OpenCV a device has is its own affair. The GUI variant of 5 is the one of this environment.
OPENCVS = [
    "opencv-python-headless==4.10.0.84",  # the oldest that the wheel allows
    "opencv-python-headless<5",
    "opencv-python-headless>=5",
    "opencv-python<5",
]

CHECK = """
import sys
import cv2, numpy as np
from pathlib import Path
from hcr_runtime import Classifier, Label, ModelSpec, preprocess, to_gray
from hcr_runtime.golden import TENSOR_STEPS
samples, golden, images, *turned = map(Path, sys.argv[1:])
spec = ModelSpec("golden", (Label("a", "a"), Label("b", "b")))
with np.load(golden) as stored, np.load(images) as drawn:
    given = {name: drawn[name] if name in drawn.files else samples / name for name in stored.files}
    steps = max(
        float(np.abs(preprocess(image, spec)[:, :, 0] * 255 - stored[name]).max())
        for name, image in given.items()
    )
classifier = Classifier.load("arabic-letters")
photos = sorted((samples / "photos").glob("*.jpg"))
upright = [to_gray(path) for path in turned]
out = {
    "cv2": cv2.__version__,
    "read": [classifier.classify(photo).name for photo in photos],
    "golden": steps <= TENSOR_STEPS,
    # Size, and row and column of the dark spot's middle.
    "turned": [
        [*gray.shape, *np.argwhere(gray < 100).mean(axis=0).round().astype(int).tolist()]
        for gray in upright
    ],
}
"""


@pytest.mark.parametrize("package", OPENCVS)
def test_reads_the_same_on_every_opencv(
    package: str,
    clean_environment: Callable[..., Path],
    tmp_path: Path,
    samples_dir: Path,
) -> None:
    """The package comes from the index; where there is none to be reached, this is skipped."""
    target = tmp_path / "opencv"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "0"]
    done = run([*pip, "install", "--quiet", "--no-deps", "--target", target, package])
    if done.returncode:
        pytest.skip(f"{package} cannot be installed here: {done.stderr.strip()[-200:]}")
    python = clean_environment(*WANTED, also=target)
    here = Path(__file__).parent
    files = samples_dir, here / "preprocess_v1.npz", here / "preprocess_images.npz"
    turned = [write_turned(tmp_path / name) for name in ("a.jpg", "b.png", "c.webp", "d.tiff")]
    done = run([python, "-I", "-c", CHECK + REPORT, *files, *turned], cwd=tmp_path, env={})
    if "libGL" in done.stderr:
        pytest.skip("this machine has no libGL, which the GUI variant needs")
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["cv2"].partition(".")[0] == ("5" if package.endswith(">=5") else "4")
    names = [path.name.split("-")[0] for path in sorted((samples_dir / "photos").glob("*.jpg"))]
    assert out["read"] == names
    assert out["golden"]
    assert out["turned"] == [[60, 40, 5, 8]] * 4


def write_turned(path: Path) -> Path:
    """Write a picture with a dark spot, stored on its side as a phone does it (orientation 6)."""
    picture = np.full((40, 60), 255, np.uint8)
    picture[31, 5] = 0
    picture = cv2.dilate(255 - picture, np.ones((5, 5), np.uint8))
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.fromarray(255 - picture).save(path, exif=exif)
    return path


def test_import_alone_loads_no_workstation_library_where_all_are_installed(tmp_path: Path) -> None:
    # In this environment every one of them could be imported, so none may be asked for.
    out = modules_after(Path(sys.executable), tmp_path, "import hcr_runtime\nout = {}\n")
    assert "hcr_runtime" in out["modules"]
    assert not UNWANTED & set(out["modules"])


def test_classifying_loads_no_part_of_numpy_that_it_does_not_need(tmp_path: Path) -> None:
    """NumPy's masked arrays alone take longer to load than a letter takes to read."""
    code = (
        "import numpy as np\nfrom hcr_runtime import Classifier\n"
        'Classifier.load("arabic-letters").classify(np.eye(64, dtype=np.uint8) * 255)\nout = {}\n'
    )
    assert "numpy.ma" not in modules_after(Path(sys.executable), tmp_path, code)["modules"]


def test_tflite_without_litert_names_the_extra(
    device: Path, tmp_path: Path, tiny_tflite: Callable[..., Path]
) -> None:
    out = modules_after(
        device,
        tmp_path,
        "import hcr_runtime\n"
        "try:\n"
        f"    hcr_runtime.Classifier.load({str(tiny_tflite())!r})\n"
        "except hcr_runtime.EngineError as error:\n"
        "    out = {'error': str(error)}\n",
    )
    assert "hcr-edge-runtime[litert]" in out["error"]


def test_missing_opencv_names_the_extras(
    clean_environment: Callable[..., Path], tmp_path: Path
) -> None:
    python = clean_environment(*WANTED)
    done = run([python, "-I", "-c", "import hcr_runtime"], cwd=tmp_path, env={})
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "hcr-edge-runtime[headless]" in last
    assert "hcr-edge-runtime[gui]" in last


def test_wheel_holds_types_model_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        shipped = archive.read("hcr_runtime/models/arabic-letters.onnx")
    assert shipped == (RUNTIME / "hcr_runtime/models/arabic-letters.onnx").read_bytes()
    assert "hcr_runtime/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    # Nothing lies beside the package: no tests, no other package's files.
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "hcr_runtime",
        "hcr_edge_runtime",
    }


def test_wheel_requires_numpy_and_onnxruntime_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    required: dict[str, set[str]] = {}
    for line in metadata.get_all("Requires-Dist", []):
        found = re.fullmatch(r"([\w-]+)[^;]*(?:; *extra == '(\w+)')?", line)
        assert found, line
        required.setdefault(found[2] or "", set()).add(found[1])
    assert required == {
        "": {"numpy", "onnxruntime"},
        "headless": {"opencv-python-headless"},
        "gui": {"opencv-python"},
        "litert": {"ai-edge-litert"},
        "signature": {"cryptography"},
    }
    assert metadata["Name"] == "hcr-edge-runtime"
    assert metadata["Requires-Python"] == ">=3.11"
