"""An HTTP service: POST an image of one letter to /classify, get the prediction as JSON.

A bounded number of requests is inside, from the first byte of their body to the answer: one beyond
is told 503 at once, which is better than an answer that comes too late. Few are decoded at a time;
then they wait in a queue, of which one worker takes all, up to a batch, through the network
together. A worker that dies takes nobody with it: who waits is told 503, ``/healthz`` says so, and
it starts again.

An upload may have 4 MiB and 4 million pixels, of which each takes a byte while it waits: with all
places taken these are half a gigabyte. Photographs of 12 million pixels are refused; one letter
needs no more than a few hundred across.

``pip install 'hcr-edge-runtime[headless]' fastapi uvicorn prometheus-client``, then
``uvicorn --app-dir samples http_service:app``, and
``curl --data-binary @samples/photos/beh-blue-pen.jpg localhost:8000/classify``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as metrics_text
from starlette.requests import ClientDisconnect

from hcr_runtime import Classifier, HcrError, Limits, Prediction
from hcr_runtime.colour import gray_of_ink
from hcr_runtime.image import GrayImage, read_pixels

MAX_UPLOAD = 4 << 20
# Bounds what waits decoded: `MAX_INSIDE` times so many bytes.
MAX_PIXELS = 4_000_000
MAX_INSIDE = 128
MAX_BATCH = 32
# Decoding takes a core for each, and tens of megabytes.
MAX_DECODING = 2
# A body that comes slower than this in all is given up (seconds).
UPLOAD_SECONDS = 20.0
# How a client that hung up is counted; HTTP has no code for it, this one is nginx's.
GONE = 499
# The worker is started again after this (seconds).
PAUSE = 0.5

LIMITS = Limits(max_pixels=MAX_PIXELS, max_bytes=MAX_UPLOAD)

_log = logging.getLogger(__name__)
Waiting: TypeAlias = "tuple[GrayImage, asyncio.Future[Prediction]]"


class UnavailableError(Exception):
    """The service cannot answer now: it is full, or its worker died."""


@dataclass
class Service:
    """One model, the requests that are inside, and what is counted.

    Attributes:
        classifier: The model.
        max_inside: Most requests that are received, decoded or waiting at a time.
        registry: Of the metrics.
        problem: Why the worker died last; empty while it lives.
    """

    classifier: Classifier
    max_inside: int = MAX_INSIDE
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    problem: str = ""

    def __post_init__(self) -> None:
        self.inside = 0
        self.decoding = asyncio.Semaphore(MAX_DECODING)
        self.queue: asyncio.Queue[Waiting] = asyncio.Queue()  # `max_inside` bounds it
        registry = self.registry
        self.answers = Counter("hcr_answers", "Requests answered", ["status"], registry=registry)
        self.batches = Histogram(
            "hcr_batch_size", "Images in a batch", buckets=(1, 2, 4, 8, 16, 32), registry=registry
        )
        self.seconds = Histogram("hcr_inference_seconds", "Time of a batch", registry=registry)
        self.deaths = Counter("hcr_worker_deaths", "Times the worker died", registry=registry)
        Gauge("hcr_inside", "Requests inside", registry=registry).set_function(lambda: self.inside)
        Gauge("hcr_waiting", "Decoded, waiting for a batch", registry=registry).set_function(
            self.queue.qsize
        )

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places inside, for as long as a request is there.

        Raises:
            UnavailableError: All are taken.
        """
        if self.inside >= self.max_inside:
            raise UnavailableError("too many requests wait")
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def read(self, data: bytes) -> Prediction:
        """Decode an upload, wait for its turn, and return its prediction.

        Raises:
            HcrError: It is no image.
            UnavailableError: The worker is dead, or dies meanwhile.
        """
        # Decoding happens here, so that a bad image fails alone and not with its batch.
        async with self.decoding:
            image = await asyncio.to_thread(decode, data, self.classifier.limits)
        del data  # the pixels wait, and not the file
        if self.problem:
            raise UnavailableError(self.problem)
        answer: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((image, answer))
        return await answer

    async def keep_working(self) -> None:
        """Run the worker, and start it again where it dies: `work` for ever."""
        while True:
            try:
                await self.work()
            except Exception as error:  # noqa: BLE001 - whatever it is, requests must not hang
                _log.exception("the worker died")
                self.deaths.inc()
                self.problem = f"the worker died ({type(error).__name__})"
                while not self.queue.empty():
                    _fail(self.queue.get_nowait()[1], UnavailableError(self.problem))
            await asyncio.sleep(PAUSE)
            self.problem = ""

    async def work(self) -> None:
        """Take what waits through the network, batch after batch, for ever."""
        while True:
            batch = [await self.queue.get()]
            while len(batch) < MAX_BATCH and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            try:
                await self._answer(batch)
            except BaseException:
                for _, answer in batch:
                    _fail(answer, UnavailableError("the worker died"))
                raise

    async def _answer(self, batch: list[Waiting]) -> None:
        self.batches.observe(len(batch))
        try:
            with self.seconds.time():
                images = [image for image, _ in batch]
                found = await asyncio.to_thread(self.classifier.classify_batch, images)
        except HcrError as error:
            for _, answer in batch:
                _fail(answer, error)
            return
        for (_, answer), prediction in zip(batch, found, strict=True):
            if not answer.done():  # as it is when its client has gone
                answer.set_result(prediction)


def decode(data: bytes, limits: Limits) -> GrayImage:
    """Turn an upload into the grey in which its ink stands out, as `classify` does.

    Raises:
        ImageError: It is no image, or beyond the limits.
    """
    return gray_of_ink(read_pixels(data, limits=limits))


def _fail(answer: asyncio.Future[Prediction], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def make_app(service: Service) -> FastAPI:
    """Build the application around a service."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker = asyncio.create_task(service.keep_working())
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
        if request.headers.get("Content-Type", "").startswith("multipart/"):
            raise HTTPException(415, "send the image's bytes alone: curl --data-binary @FILE")
        try:
            with service.place():
                return (await service.read(await upload(request))).to_dict()
        except HcrError as error:
            raise HTTPException(422, str(error)) from error
        except UnavailableError as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from error
        except TimeoutError as error:
            raise HTTPException(408, f"no body in {UPLOAD_SECONDS:g} s") from error
        except ClientDisconnect as error:  # nobody is told; it is counted
            raise HTTPException(GONE, "the client has gone") from error

    @app.get("/healthz")
    async def healthz(response: Response) -> dict[str, Any]:
        response.status_code = 503 if service.problem else 200
        return {"status": service.problem or "ok", "model": service.classifier.spec.name}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(metrics_text(service.registry), media_type=CONTENT_TYPE_LATEST)

    return app


async def upload(request: Request) -> bytes:
    """Read a request's body, no further than `MAX_UPLOAD` bytes, whatever it claims to hold.

    Raises:
        HTTPException: It is larger.
        TimeoutError: It does not come.
        ClientDisconnect: Its client hangs up.
    """
    too_large = HTTPException(413, f"an image may have {MAX_UPLOAD} bytes")
    claimed = request.headers.get("Content-Length", "")
    if claimed.isdecimal() and int(claimed[:18]) > MAX_UPLOAD:
        raise too_large
    data = bytearray()
    async with asyncio.timeout(UPLOAD_SECONDS):
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_UPLOAD:
                raise too_large
    return bytes(data)


app = make_app(Service(Classifier.load("arabic-letters", limits=LIMITS)))
