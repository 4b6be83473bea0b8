"""The cache: read once, then mapped; never wrong, never in the way."""

from __future__ import annotations

import io
import logging
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.datasets import cache as cache_module
from hcr_edge.datasets.cache import Cache, cache_folder, file_digest, tree_digest
from hcr_edge.datasets.content import Content
from hcr_edge.datasets.images import Images, PixelFile
from hcr_edge.datasets.published import Finder
from hcr_edge.errors import DataError
from tests.edge.published_files import (
    LAYOUTS,
    WRITERS,
    emnist_mat,
    few,
    idx,
    in_folders,
    mnist,
    png,
    put,
    sample,
    split_of,
    zipped,
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HCR_EDGE_CACHE", str(folder))
    return folder


@pytest.fixture
def place(data_dir: Path, tmp_path: Path) -> Path:
    """A folder of data with a small set: 120 digits in a zip."""
    digits = sample("persian-digits", data_dir).first(120)
    return put(tmp_path / "data", WRITERS["persian-digits"]["tree"](digits))


def _load(place: Path, name: str = "persian-digits") -> Dataset:
    return load_dataset(name, "all", data_dir=place)


def _entries(store: Path) -> list[Path]:
    return sorted((store / "arrays").iterdir()) if (store / "arrays").is_dir() else []


def _equal(first: Dataset, second: Dataset) -> None:
    np.testing.assert_array_equal(first.labels, second.labels)
    assert list(first.names) == list(second.names)
    assert first.skipped == second.skipped
    assert (first.writers is None) == (second.writers is None)
    if first.writers is not None:
        np.testing.assert_array_equal(first.writers, second.writers)
    for one, other in zip(first.images, second.images, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make any decoding from now on fail."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the files are read again")

    def run() -> None:
        monkeypatch.setattr(PixelFile, "__init__", refuse)
        monkeypatch.setattr(Finder, "_build", refuse)

    return run


@pytest.mark.parametrize(("name", "layout"), LAYOUTS)
def test_the_second_read_decodes_nothing(
    name: str,
    layout: str,
    data_dir: Path,
    tmp_path: Path,
    store: Path,
    unreadable: Callable[[], None],
) -> None:
    put(tmp_path / "data", WRITERS[name][layout](few(name, data_dir, 60)))
    split = split_of(name, layout)
    first = load_dataset(name, split, data_dir=tmp_path / "data")
    assert len(_entries(store)) == 1
    unreadable()
    second = load_dataset(name, split, data_dir=tmp_path / "data")
    assert isinstance(second.images, Images)
    # Mapped from the entry, not held in memory; nobody can change it by accident.
    assert not second.images.pixels.flags.writeable
    _equal(first, second)


def test_unpacked_folders_are_mapped_too(
    data_dir: Path, tmp_path: Path, store: Path, unreadable: Callable[[], None]
) -> None:
    digits = sample("persian-digits", data_dir).first(120)
    put(tmp_path / "data/persian-digits", in_folders(digits, lambda t: str(ord(t) - 0x6F0)))
    first = _load(tmp_path / "data")
    unreadable()
    _equal(first, _load(tmp_path / "data"))
    # Found by what the folder holds, not by where it lies.
    (tmp_path / "data").rename(tmp_path / "moved")
    _equal(first, _load(tmp_path / "moved"))


def test_writers_and_parts_come_back(data_dir: Path, tmp_path: Path, store: Path) -> None:
    found = sample("emnist-letters", data_dir).first(100)
    parts = {"train": found, "test": found.first(60)}
    writers = {"train": np.arange(100) // 7, "test": np.arange(60) // 7}
    put(tmp_path / "data", {"emnist-letters.mat": emnist_mat("letters", parts, writers)})
    for _ in range(2):
        for part, numbers in writers.items():
            data = load_dataset("emnist-letters", part, data_dir=tmp_path / "data")
            assert data.writers is not None
            np.testing.assert_array_equal(data.writers, numbers)
    assert len(_entries(store)) == 2


# ---- the source changes


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_changed_source_is_read_anew(
    unpacked: bool, data_dir: Path, tmp_path: Path, store: Path
) -> None:
    """Also when name, size and date stay the same."""
    digits = sample("persian-digits", data_dir).first(40)
    files = in_folders(digits, lambda t: str(ord(t) - 0x6F0), ".bmp")  # all of one size
    turned = in_folders(
        digits.turned(lambda image: 255 - image), lambda t: str(ord(t) - 0x6F0), ".bmp"
    )
    place = tmp_path / "data" / "persian-digits"

    def write(tree: dict[str, bytes]) -> None:
        if unpacked:
            put(place, tree)
        else:
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
                for name, data in tree.items():
                    archive.writestr(zipfile.ZipInfo(name), data)
            put(place, {"digits.zip": stream.getvalue()})
        for path in place.rglob("*"):
            os.utime(path, (1e9, 1e9))

    write(files)
    before = _load(tmp_path / "data")
    write(turned)
    after = _load(tmp_path / "data")
    for one, other in zip(before.images, after.images, strict=True):
        np.testing.assert_array_equal(np.asarray(one), 255 - np.asarray(other))


def test_files_added_and_removed(data_dir: Path, tmp_path: Path, store: Path) -> None:
    digits = sample("persian-digits", data_dir).first(120)
    place = put(tmp_path / "data/persian-digits", in_folders(digits, lambda t: str(ord(t) - 1776)))
    assert len(_load(tmp_path / "data")) == 120
    put(place, {"3/more.png": png(digits.images[0])})
    assert len(_load(tmp_path / "data")) == 121
    (place / "3/more.png").rename(place / "4/more.png")
    moved = _load(tmp_path / "data")
    assert moved.label_set[int(moved.labels[list(moved.names).index("4/more.png")])].text == "۴"
    (place / "4/more.png").unlink()
    assert len(_load(tmp_path / "data")) == 120


def test_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_WHOLE", 3 * cache_module._MIB)
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x" * 100)
    large.write_bytes(bytes(4 * cache_module._MIB))
    found = [file_digest(path) for path in (small, large)]
    assert [file_digest(path) for path in (small, large)] == found
    os.utime(small, (1e9, 1e9))
    assert file_digest(small) == found[0], "a small file is known by what it holds"
    # A large one by its size, date and both ends.
    for change in (lambda b: b[:5] + b"x" + b[6:], lambda b: b[:-5] + b"x" + b[-4:]):
        content, status = large.read_bytes(), large.stat()
        large.write_bytes(change(content))
        os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert file_digest(large) != found[1]
        large.write_bytes(content)
        os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file_digest(large) == found[1]
    os.utime(large, (1e9, 1e9))
    assert file_digest(large) != found[1]
    # Many files of a folder are known by their dates; which of them are there always counts.
    names = [f"{i}.png" for i in range(80)]
    put(tmp_path, dict.fromkeys(names, b"x"))
    tree = tree_digest(tmp_path, names)
    assert tree_digest(tmp_path, names[:-1]) != tree
    assert tree_digest(tmp_path, [*names, "gone.png"]) == tree
    os.utime(tmp_path / names[3], (1e9, 1e9))
    assert tree_digest(tmp_path, names) != tree


# ---- damage to the cache


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0x55
    path.write_bytes(bytes(data))


def test_every_damage_to_the_index_is_harmless(place: Path, store: Path) -> None:
    """Wherever it is flipped or cut, out comes the same set again; then a whole entry is there."""
    whole = _load(place)
    entry = _entries(store)[0]
    index = entry / "index.npz"
    good = index.read_bytes()
    cache = Cache(store)
    places = sorted({*range(0, len(good), 37), *range(len(good) - 300, len(good), 7)})
    for at in places:
        for damaged in (good[:at], good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]):
            index.write_bytes(damaged)
            content = cache.load(entry)
            if content is not None:
                assert content.labels.tolist() == whole.labels.tolist()
                assert content.names == tuple(whole.names)
    index.write_bytes(good[: len(good) // 2])
    _equal(_load(place), whole)
    assert index.read_bytes() == good, "rebuilt"


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "pixels.u8").write_bytes(b""),
        lambda entry: (entry / "pixels.u8").write_bytes((entry / "pixels.u8").read_bytes()[:-1]),
        lambda entry: (entry / "pixels.u8").unlink(),
        lambda entry: (entry / "index.npz").unlink(),
        lambda entry: (entry / "index.npz").write_bytes(b""),
        lambda entry: (entry / "index.npz").write_text("text", encoding="utf-8"),
        lambda entry: _flip(entry / "index.npz", 150),
        lambda entry: [path.unlink() for path in entry.iterdir()],
        # Pickled objects are not looked at.
        lambda entry: (entry / "index.npz").write_bytes(pickle.dumps({"labels": [0]})),
        lambda entry: np.savez(entry / "index.npz", shapes=np.array([None, {}], object)),
        # Arrays that are whole, and of another entry.
        lambda entry: _rewrite(entry, labels=np.zeros(3, np.int64)),
        lambda entry: _rewrite(entry, writers=np.zeros(3, np.int64)),
        lambda entry: _rewrite(entry, names=np.frombuffer(b"one\ntwo", np.uint8)),
        lambda entry: _rewrite(entry, shapes=np.full((120, 2), -28, np.int32)),
        lambda entry: _rewrite(entry, shapes=np.full((120, 2), 2**30, np.int32)),
        lambda entry: _rewrite(entry, shapes=np.zeros((120, 3), np.int32)),
        lambda entry: _rewrite(entry, starts=np.full(120, -784, np.int64)),
        lambda entry: _rewrite(entry, starts=np.full(120, 2**62, np.int64)),
        lambda entry: _rewrite(entry, skipped_counts=np.array([1, 2])),
    ],
)
def test_a_damaged_entry_is_rebuilt(
    damage: Callable[[Path], object], place: Path, store: Path, unreadable: Callable[[], None]
) -> None:
    whole = _load(place)
    pixels = np.concatenate([np.asarray(image).ravel() for image in whole.images])
    damage(_entries(store)[0])
    again = _load(place)
    assert again.labels.tolist() == whole.labels.tolist()
    np.testing.assert_array_equal(
        np.concatenate([np.asarray(image).ravel() for image in again.images]), pixels
    )
    assert len(_entries(store)) == 1
    unreadable()
    _equal(_load(place), again)


def _rewrite(entry: Path, **arrays: np.ndarray) -> None:
    with np.load(entry / "index.npz") as index:
        stored = {name: index[name] for name in index.files}
    np.savez(entry / "index.npz", **{**stored, **arrays})


def test_an_index_without_pickles(place: Path, store: Path) -> None:
    _load(place)
    for path in store.rglob("*"):
        if path.is_file() and path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as index:
                assert all(index[name].dtype.kind in "iu" for name in index.files)
        elif path.is_file():
            with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, KeyError)):
                pickle.loads(path.read_bytes()[:200])  # noqa: S301


def test_damaged_listings_are_made_anew(place: Path, store: Path) -> None:
    """An archive whose listing is cut short would seem to lack files."""
    whole = _load(place)
    (listing,) = (store / "listings").iterdir()
    good = listing.read_bytes()
    assert b"0/" in good
    for content in (
        b"",
        b"\xff\xfe",
        good[:-20],
        good[:64],
        good.replace(b"0/", b"9/"),
        b"a/1.png",
    ):
        listing.write_bytes(content)
        (_entries(store)[0] / "index.npz").unlink()
        _equal(_load(place), whole)
        assert listing.read_bytes() == good


# ---- what is never kept


@pytest.mark.parametrize("damage", [b"", b"no image"])
def test_damaged_parts_are_never_kept(
    damage: bytes, data_dir: Path, tmp_path: Path, store: Path
) -> None:
    digits = sample("persian-digits", data_dir).first(120)
    files = in_folders(digits, lambda t: str(ord(t) - 0x6F0))
    name = list(files)[50]
    put(tmp_path, {"data/persian-digits/d.zip": zipped({**files, name: damage})})
    for _ in range(2):
        with pytest.raises(DataError, match=name):
            _load(tmp_path / "data")
        assert _entries(store) == []
    put(tmp_path, {"data/persian-digits/d.zip": zipped(files)})
    assert len(_load(tmp_path / "data")) == 120


def test_turned_parts_are_never_kept(data_dir: Path, tmp_path: Path, store: Path) -> None:
    turned = sample("persian-digits", data_dir).turned(lambda image: image[::-1])
    put(tmp_path / "data", WRITERS["persian-digits"]["tree"](turned))
    for _ in range(2):
        with pytest.raises(DataError, match="comes out flipped"):
            _load(tmp_path / "data")
    assert _entries(store) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_an_interrupted_read_leaves_nothing(
    error: type[BaseException], place: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        count = iter(range(50))

        def append(self: PixelFile, image: np.ndarray) -> None:
            if next(count, None) is None:
                raise error

        patch.setattr(PixelFile, "append", append)
        with pytest.raises(error):
            _load(place)
    assert _entries(store) == []
    assert len(_load(place)) == 120
    assert len(_entries(store)) == 1


def test_a_killed_process_leaves_no_entry(place: Path, store: Path) -> None:
    program = (
        "import os, signal\n"
        "from hcr_edge.datasets import load_dataset\n"
        "from hcr_edge.datasets.images import PixelFile\n"
        "PixelFile.finish = lambda self: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from pathlib import Path\n"
        f"load_dataset('persian-digits', 'all', data_dir=Path({str(place)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -9
    assert not [entry for entry in _entries(store) if not entry.name.startswith(".new-")]
    assert len(_load(place)) == 120


# ---- where it cannot be


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/no-such-place", "x" * 300])
def test_a_cache_that_cannot_be_written(
    where: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HCR_EDGE_CACHE", where)
    with caplog.at_level(logging.WARNING):
        data = _load(place)
    assert len(data) == 120
    assert int(np.asarray(data.images[7]).max()) > 0
    (record,) = caplog.records
    assert "nothing is cached" in record.message
    assert "HCR_EDGE_CACHE" in record.message


@pytest.mark.parametrize("value", ["off", "OFF", "0", "none", ""])
def test_no_cache(
    value: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HCR_EDGE_CACHE", value)
    before = sorted(tmp_path.rglob("*"))
    with caplog.at_level(logging.WARNING):
        data = _load(place)
    assert (len(data), caplog.records) == (120, [])
    assert sorted(tmp_path.rglob("*")) == before
    assert cache_folder() is None


def test_a_full_disk_is_said(place: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            raise OSError(28, "No space left on device")

    begin = PixelFile.__init__

    def on_a_full_disk(self: PixelFile, folder: Path | None) -> None:
        begin(self, folder)
        self._file.close()
        self._file = Full()

    monkeypatch.setattr(PixelFile, "__init__", on_a_full_disk)
    with pytest.raises(DataError, match="No space left on device") as caught:
        _load(place)
    assert "HCR_EDGE_CACHE" in caught.value.hint
    assert _entries(store) == []


def test_a_disk_that_is_full_at_the_last_moment(
    place: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images are there; only the index does not fit any more."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    data = _load(place)
    assert len(data) == 120
    assert int(np.asarray(data.images[7]).max()) > 0
    assert _entries(store) == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HCR_EDGE_CACHE": "/somewhere"}, "/somewhere"),
        ({"HCR_EDGE_CACHE": "~/mine", "HOME": "/home/ann"}, "/home/ann/mine"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/hcr-edge"),
        ({"HOME": "/home/ann"}, "/home/ann/.cache/hcr-edge"),
        ({"LOCALAPPDATA": "/local"}, "/local/hcr-edge"),
    ],
)
def test_where_it_lies(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HCR_EDGE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_the_tests_do_not_use_the_developers_cache(own_cache: Path) -> None:
    assert cache_folder() == own_cache
    answer = subprocess.run(
        [sys.executable, "-c", "from hcr_edge.datasets.cache import *; print(cache_folder())"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.strip() == str(own_cache)


# ---- several at once


def test_two_processes_at_once(place: Path, store: Path) -> None:
    """Both read the whole set, one entry is left, and it is whole."""
    program = (
        "import sys, time, pathlib, hashlib\n"
        "from hcr_edge.datasets import load_dataset\n"
        "from hcr_edge.datasets.cache import Cache\n"
        "commit = Cache.commit\n"
        # Both have read before one of them commits.
        "def late(self, work, entry, content):\n"
        "    (pathlib.Path(sys.argv[2]) / sys.argv[3]).touch()\n"
        "    other = pathlib.Path(sys.argv[2]) / ('b' if sys.argv[3] == 'a' else 'a')\n"
        "    end = time.monotonic() + 30\n"
        "    while not other.exists() and time.monotonic() < end: time.sleep(0.01)\n"
        "    return commit(self, work, entry, content)\n"
        "Cache.commit = late\n"
        "data = load_dataset('persian-digits', 'all', data_dir=pathlib.Path(sys.argv[1]))\n"
        "digest = hashlib.sha256()\n"
        "for image in data.images: digest.update(image.tobytes())\n"
        "print(len(data), digest.hexdigest())\n"
    )
    marks = place.parent / "marks"
    marks.mkdir()
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(place), str(marks), name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    answers = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert answers[0] == answers[1]
    assert answers[0].startswith("120 ")
    (entry,) = _entries(store)
    content = Cache(store).load(entry)
    assert content is not None
    assert len(content.images) == 120


def test_an_entry_that_is_there_already_is_left(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    entry = cache.entry("a-b", "1", "x")
    assert entry is not None
    for value in (1, 2):
        work = cache.begin()
        assert work is not None
        pixels = PixelFile(work)
        pixels.append(np.full((2, 2), value, np.uint8))
        content = Content(pixels.finish(), np.zeros(1, np.int64))
        found = cache.commit(work, entry, content)
        assert int(found.images[0][0, 0]) == 1
        assert not work.exists()


def test_odd_names_are_kept_or_not_at_all(tmp_path: Path) -> None:
    """A line break within a name would shift all names by one."""
    cache = Cache(tmp_path)
    names = ("a b.png", "ب/é.png", "", "x\r.png")
    for texts, kept in ((names, True), (("one\ntwo.png", "b.png"), False)):
        entry = cache.entry("a-b", *texts)
        work = cache.begin()
        assert entry is not None
        assert work is not None
        pixels = PixelFile(work)
        pixels.extend(np.zeros((len(texts), 3, 2), np.uint8))
        content = Content(
            pixels.finish(), np.zeros(len(texts), np.int64), names=texts, skipped=(("é", 2),)
        )
        assert cache.commit(work, entry, content).names == texts
        found = cache.load(entry)
        assert (found is not None) == kept
        if found is not None:
            assert (found.names, found.skipped) == (texts, (("é", 2),))


def test_keys_tell_titles_layouts_and_sources_apart(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    keys = {
        cache.entry(*parts)
        for parts in (
            ("a", "1", "x"),
            ("a", "2", "x"),
            ("a", "1", "y"),
            ("b", "1", "x"),
            ("a1", "x"),
        )
    }
    assert len(keys) == 5
    assert Cache(None).entry("a", "1") is None


# ---- memory


def _peak(load: Callable[[], Dataset], monkeypatch: pytest.MonkeyPatch) -> tuple[float, int]:
    """Return the most bytes held at once, mapped ones included, and the bytes of the images."""
    finish = PixelFile.finish
    mapped = before = 0

    def count(self: PixelFile) -> Images:
        nonlocal mapped, before
        before = max(before, mapped + tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()
        images = finish(self)
        mapped += images.pixels.nbytes
        return images

    monkeypatch.setattr(PixelFile, "finish", count)
    tracemalloc.start()
    data = load()
    after = mapped + tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(data.images, Images)
    return max(before, after), data.images.pixels.nbytes


def test_memory_of_ahcds_csv_zip(
    data_dir: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peak, size = _peak(lambda: load_dataset("ahcd", "train", data_dir=data_dir), monkeypatch)
    assert size == 13440 * 1024
    assert peak < 1.5 * size


def test_memory_of_idx_gz(
    data_dir: Path, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20,000 images, 16 MB: the array and its copy are never there at once."""
    images, labels = mnist(data_dir)
    names = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
    arrays = (np.tile(images, (2, 1, 1)), np.tile(labels, 2))
    put(tmp_path / "data", {n: idx(a) for n, a in zip(names, arrays, strict=True)})
    peak, size = _peak(
        lambda: load_dataset("mnist", "train", data_dir=tmp_path / "data"), monkeypatch
    )
    assert size == 20000 * 784
    assert peak < 1.5 * size
