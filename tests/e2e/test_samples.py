"""The device applications in samples/ do what they say."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from hcr_runtime import Classifier, Prediction


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_minimal_loop_reads_photographs(samples_dir: Path) -> None:
    photos = sorted((samples_dir / "photos").glob("*.jpg"))
    done = run(samples_dir / "read_letters.py", *photos)
    assert done.returncode == 0, done.stderr
    letters = [line.split("\t")[1] for line in done.stdout.splitlines()]
    assert letters == ["ع", "ب", "ه", "ج", "ك", "س", "و", "ي"]


def test_minimal_loop_without_an_image(samples_dir: Path) -> None:
    done = run(samples_dir / "read_letters.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert "IMAGE" in done.stderr


def test_sorter_ends_as_it_is_told_to(
    samples_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sort = load(samples_dir / "sort_letters.py")

    def interrupted(source: str) -> Iterator[Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(sort, "frames", interrupted)
    assert sort.main("0") == 130
    assert capsys.readouterr().err == ""


def test_sorter_acts_once_on_the_clip(samples_dir: Path) -> None:
    done = run(samples_dir / "sort_letters.py", samples_dir / "photos" / "clip.avi")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines
    assert len(lines) == len(set(lines))
    assert run(samples_dir / "sort_letters.py", "absent.avi").returncode == 2


def test_sorter_waits_for_steady_results_and_for_the_next_part(samples_dir: Path) -> None:
    sort = load(samples_dir / "sort_letters.py")

    def said(label: str, accepted: bool = True) -> Prediction:
        return Prediction(label, "", "", 0.9, (), accepted, "" if accepted else "unsure")

    def actions(*seen: Prediction | None) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        sorter = sort.Sorter(lambda label, name: found.append((label, name)))
        for prediction in seen:
            sorter.see(prediction)
        return found

    beh, dal, gap = said("ب"), said("د"), [None] * 5
    assert actions(beh, beh) == []
    assert actions(*[beh] * 20) == [("ب", "left")]
    # A flicker starts the count again; an answer that is refused is none.
    assert actions(beh, beh, dal, beh, beh) == []
    assert actions(beh, beh, said("ب", accepted=False), beh, beh) == []
    # A short gap is the same part; a long one ends it, and the next may have the same letter.
    assert actions(*[beh] * 3, None, None, *[beh] * 3) == [("ب", "left")]
    assert actions(*[beh] * 3, *gap, *[beh] * 3) == [("ب", "left")] * 2
    assert actions(*[beh] * 3, *gap, *[dal] * 3, *gap, *[said("ه")] * 3) == [
        ("ب", "left"),
        ("د", "right"),
        ("ه", "other"),
    ]


@pytest.fixture(scope="module")
def service(samples_dir: Path) -> ModuleType:
    return load(samples_dir / "http_service.py")


@pytest.fixture
def client(service: ModuleType) -> Iterator[TestClient]:
    with TestClient(service.make_app(service.Service(Classifier.load("arabic-letters")))) as made:
        yield made


def test_service_answers_as_the_classifier_does(client: TestClient, samples_dir: Path) -> None:
    photos = sorted((samples_dir / "photos").glob("*.jpg"))
    expected = [Classifier.load("arabic-letters").classify(photo).to_dict() for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda photo: client.post("/classify", content=photo.read_bytes()).json(), photos
        )
    assert list(answers) == expected
    assert client.get("/healthz").json() == {"status": "ok", "model": "arabic-letters"}
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'hcr_answers_total{status="200"} 8.0' in metrics.text
    assert "hcr_batch_size_sum 8.0" in metrics.text
    assert "hcr_waiting 0.0" in metrics.text
    assert "hcr_inside 0.0" in metrics.text


def test_service_sees_through_a_highlighter(client: TestClient, samples_dir: Path) -> None:
    letter = cv2.imread(str(samples_dir / "arabic-letters" / "test" / "U+0633" / "03.png"), 0)
    picture = np.full((200, 200, 3), 235, np.uint8)
    picture[40:160, 20:180] = 190, 120, 250
    part = picture[50:150, 50:150]
    part[:] = np.minimum(part, cv2.resize(letter, (100, 100))[:, :, None])
    sent = cv2.imencode(".png", picture)[1].tobytes()
    answer = client.post("/classify", content=sent).json()
    assert answer == Classifier.load("arabic-letters").classify(sent).to_dict()
    assert answer["accepted"]
    assert answer["label"] == "س"


def test_service_refuses_what_is_no_image_or_too_large(
    client: TestClient, service: ModuleType
) -> None:
    bad = client.post("/classify", content=b"hello")
    assert bad.status_code == 422
    assert "is no image" in bad.json()["detail"]
    assert client.post("/classify", content=b"").status_code == 422
    form = client.post("/classify", files={"file": b"a letter's bytes"})
    assert form.status_code == 415
    assert "--data-binary" in form.json()["detail"]
    # What says that it is too large is not waited for.
    claimed = {"Content-Length": str(service.MAX_UPLOAD + 1)}
    assert client.post("/classify", content=b"a", headers=claimed).status_code == 413

    def endless() -> Iterator[bytes]:  # a body that does not say how long it is
        for _ in range(service.MAX_UPLOAD // 65536 + 2):
            yield bytes(65536)

    assert client.post("/classify", content=endless()).status_code == 413
    assert 'hcr_answers_total{status="413"} 2.0' in client.get("/metrics").text


def test_service_bounds_the_pixels_that_wait(service: ModuleType) -> None:
    with TestClient(service.app) as client:
        for width, status in ((2000, 200), (2001, 422)):
            page = cv2.imencode(".png", np.full((2000, width), 255, np.uint8))[1].tobytes()
            assert client.post("/classify", content=page).status_code == status


def test_client_that_hangs_up_is_counted_and_is_no_error(service: ModuleType) -> None:
    made = service.Service(Classifier.load("arabic-letters"))
    part = {"type": "http.request", "body": b"part", "more_body": True}
    messages = iter([part])

    async def receive() -> dict[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    async def send(_: object) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/classify", "query_string": b""}
    asyncio.run(service.make_app(made)(scope | {"headers": []}, receive, send))
    assert made.registry.get_sample_value("hcr_answers_total", {"status": "499"}) == 1
    assert made.inside == 0


def test_waiting_requests_share_a_batch_and_a_full_service_refuses(
    service: ModuleType, samples_dir: Path
) -> None:
    """The model is held up: one request is with it, four wait, and the sixth is one too many."""
    inner = Classifier.load("arabic-letters")
    go, entered = threading.Event(), threading.Event()
    sizes: list[int] = []

    class Held:
        spec, limits = inner.spec, inner.limits

        def classify_batch(self, images: list[object]) -> list[Prediction]:
            sizes.append(len(images))
            entered.set()
            assert go.wait(30)
            return inner.classify_batch(images)

    made = service.Service(Held(), max_inside=5)
    photo = (samples_dir / "photos" / "beh-blue-pen.jpg").read_bytes()
    with TestClient(service.make_app(made)) as client, ThreadPoolExecutor(6) as pool:

        def post() -> int:
            return client.post("/classify", content=photo).status_code

        first = pool.submit(post)
        assert entered.wait(30)
        waiting = [pool.submit(post) for _ in range(4)]
        for _ in range(3000):
            if made.queue.qsize() == 4:
                break
            threading.Event().wait(0.01)
        assert post() == 503
        assert "hcr_inside 5.0" in client.get("/metrics").text
        go.set()
        assert [task.result(30) for task in (first, *waiting)] == [200] * 5
    assert sizes == [1, 4]


def test_requests_that_are_received_or_decoded_are_bounded_too(
    service: ModuleType, samples_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding is held up: two uploads are inside, the third is refused before it is read."""
    go, decoding = threading.Event(), threading.Semaphore(0)
    inner = service.decode

    def held(*arguments: object) -> object:
        decoding.release()
        assert go.wait(30)
        return inner(*arguments)

    monkeypatch.setattr(service, "decode", held)
    made = service.Service(Classifier.load("arabic-letters"), max_inside=2)
    photo = (samples_dir / "photos" / "beh-blue-pen.jpg").read_bytes()
    with TestClient(service.make_app(made)) as client, ThreadPoolExecutor(2) as pool:

        def post() -> int:
            return client.post("/classify", content=photo).status_code

        inside = [pool.submit(post) for _ in range(2)]
        assert all(decoding.acquire(timeout=30) for _ in inside)
        assert post() == 503
        go.set()
        assert [task.result(30) for task in inside] == [200, 200]
        assert post() == 200


def test_a_worker_that_dies_is_told_and_starts_again(
    service: ModuleType, samples_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Classifier.load("arabic-letters")
    broken = threading.Event()
    broken.set()

    class Breaks:
        spec, limits = inner.spec, inner.limits

        def classify_batch(self, images: list[object]) -> list[Prediction]:
            if broken.is_set():
                raise MemoryError
            return inner.classify_batch(images)

    monkeypatch.setattr(service, "PAUSE", 1.0)
    photo = (samples_dir / "photos" / "beh-blue-pen.jpg").read_bytes()
    with TestClient(service.make_app(service.Service(Breaks()))) as client:

        def post() -> int:
            return client.post("/classify", content=photo).status_code

        assert post() == 503  # and does not hang
        health = client.get("/healthz")
        assert (health.status_code, health.json()["status"]) == (
            503,
            "the worker died (MemoryError)",
        )
        assert post() == 503
        broken.clear()
        for _ in range(300):
            if client.get("/healthz").status_code == 200:
                break
            threading.Event().wait(0.05)
        assert post() == 200
        assert "hcr_worker_deaths_total 1.0" in client.get("/metrics").text
