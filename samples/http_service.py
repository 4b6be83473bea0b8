"""An HTTP service: POST an image of one letter to /classify, get the prediction as JSON.

Requests wait in a bounded queue; one worker takes all that wait, up to a batch, through the network
together. A full queue answers 503 at once: better than an answer that comes too late.

``pip install 'hcr-edge-runtime[headless]' fastapi uvicorn prometheus-client``, then
``uvicorn --app-dir samples http_service:app``, and
``curl --data-binary @samples/photos/beh-blue-pen.jpg localhost:8000/classify``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as metrics_text

from hcr_runtime import Classifier, HcrError, Limits, Prediction, to_gray

MAX_UPLOAD = 4 << 20
MAX_WAITING = 128
MAX_BATCH = 32


@dataclass
class Service:
    """One model, the requests that wait for it, and what is counted."""

    classifier: Classifier
    max_waiting: int = MAX_WAITING
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.queue: asyncio.Queue[tuple[Any, asyncio.Future[Prediction]]] = asyncio.Queue(
            self.max_waiting
        )
        registry = self.registry
        self.answers = Counter("hcr_answers", "Requests answered", ["status"], registry=registry)
        self.batches = Histogram(
            "hcr_batch_size", "Images in a batch", buckets=(1, 2, 4, 8, 16, 32), registry=registry
        )
        self.seconds = Histogram("hcr_inference_seconds", "Time of a batch", registry=registry)
        waiting = Gauge("hcr_waiting", "Requests that wait", registry=registry)
        waiting.set_function(self.queue.qsize)

    async def read(self, data: bytes) -> Prediction:
        """Decode an upload, wait for its turn, and return its prediction."""
        # Decoding happens here, so that a bad image fails alone and not with its batch.
        image = await asyncio.to_thread(to_gray, data, "bgr", self.classifier.limits)
        answer: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((image, answer))
        return await answer

    async def work(self) -> None:
        """Take what waits through the network, batch after batch, for ever."""
        while True:
            batch = [await self.queue.get()]
            while len(batch) < MAX_BATCH and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            self.batches.observe(len(batch))
            waiting = [answer for _, answer in batch]
            try:
                with self.seconds.time():
                    images = [image for image, _ in batch]
                    found = await asyncio.to_thread(self.classifier.classify_batch, images)
            except HcrError as error:
                for answer in filter(_open, waiting):
                    answer.set_exception(error)
                continue
            for answer, prediction in zip(waiting, found, strict=True):
                if _open(answer):
                    answer.set_result(prediction)


def _open(answer: asyncio.Future[Prediction]) -> bool:
    return not answer.cancelled()  # as it is when its client has gone


def make_app(service: Service) -> FastAPI:
    """Build the application around a service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker = asyncio.create_task(service.work())
        yield
        worker.cancel()

    app = FastAPI(title="hcr-edge", lifespan=lifespan)

    @app.middleware("http")
    async def count(request: Request, go_on: Any) -> Response:
        response: Response = await go_on(request)
        if request.url.path == "/classify":
            service.answers.labels(str(response.status_code)).inc()
        return response

    @app.post("/classify")
    async def classify(request: Request) -> dict[str, Any]:
        try:
            return (await service.read(await upload(request))).to_dict()
        except HcrError as error:
            raise HTTPException(422, str(error)) from error
        except asyncio.QueueFull as error:
            raise HTTPException(503, "too many requests wait", {"Retry-After": "1"}) from error

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "model": service.classifier.spec.name}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(metrics_text(service.registry), media_type=CONTENT_TYPE_LATEST)

    return app


async def upload(request: Request) -> bytes:
    """Read a request's body, no further than `MAX_UPLOAD` bytes, whatever it claims to hold."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_UPLOAD:
            raise HTTPException(413, f"an image may have {MAX_UPLOAD} bytes")
    return bytes(data)


app = make_app(Service(Classifier.load("arabic-letters", limits=Limits(20_000_000, MAX_UPLOAD))))
