from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from hcr_edge.datasets.formats import files as files_module
from hcr_edge.datasets.formats.archive import Files, is_archive, open_files, open_plain
from hcr_edge.errors import DataError

MIB = 1024 * 1024
CONTENT = {
    "train/ب/10.png": b"\x89PNG ten",
    "train/ب/9.png": b"\x89PNG nine" * 5000,
    "labels.csv": b"1\n2\n",
    "empty": b"",
}
Build = Callable[[Path], None]


def _gzip(data: bytes) -> bytes:
    """The same bytes whenever: they name tests, which several processes must name alike."""
    return gzip.compress(data, mtime=0)


def zip_of(content: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tar_of(content: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def folder_of(content: dict[str, bytes], path: Path) -> None:
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)


CONTAINERS: dict[str, Build] = {
    "folder": lambda path: folder_of(CONTENT, path),
    "zip": lambda path: path.write_bytes(zip_of(CONTENT)) and None,
    "tar": lambda path: path.write_bytes(tar_of(CONTENT)) and None,
    "gnu.tar": lambda path: path.write_bytes(tar_of(CONTENT, tarfile.GNU_FORMAT)) and None,
    "tgz": lambda path: path.write_bytes(_gzip(tar_of(CONTENT))) and None,
    "tar.bz2": lambda path: path.write_bytes(bz2.compress(tar_of(CONTENT))) and None,
    "tar.xz": lambda path: path.write_bytes(lzma.compress(tar_of(CONTENT))) and None,
    # As parallel packers leave it: several streams in a row, and padding.
    "parts.xz": lambda path: (
        path.write_bytes(
            lzma.compress(tar_of(CONTENT)[:1000]) + lzma.compress(tar_of(CONTENT)[1000:]) + bytes(8)
        )
        and None
    ),
}


# The name says nothing: it is the content that tells.
@pytest.fixture(params=CONTAINERS)
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    path = tmp_path / "set.dat"
    CONTAINERS[request.param](path)
    return open_files(path)


def test_same_files_in_any_container(container: Files) -> None:
    order = sorted(CONTENT) if container.path.is_dir() else list(CONTENT)
    assert container.names() == order
    assert {name: container.read(name) for name in order} == CONTENT
    assert dict(container.walk(lambda name: True)) == CONTENT
    wanted = [name for name in order if name.endswith(".png")]
    assert [name for name, _ in container.walk(lambda name: name in wanted)] == wanted
    with container, container.open("train/ب/9.png") as stream:
        assert stream.read(9) + stream.read() == CONTENT["train/ب/9.png"]


def test_reading_out_of_order_and_during_a_walk(container: Files) -> None:
    for name, data in container.walk(lambda name: True):
        assert container.read("train/ب/9.png") == CONTENT["train/ب/9.png"]
        assert data == CONTENT[name]
    assert [container.read(name) for name in reversed(CONTENT)] == list(reversed(CONTENT.values()))


def test_missing_member_is_named(container: Files) -> None:
    for name in ("train", "../labels.csv", "labels.CSV"):
        with pytest.raises(DataError, match=f"does not hold '{name}'"):
            container.read(name)


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_gzipped_members_are_unpacked(
    pack: Callable[[dict[str, bytes]], bytes], tmp_path: Path
) -> None:
    """EMNIST's gzip.zip; and a file that a browser unpacked but left with its name."""
    content = {"gzip/x.gz": _gzip(b"pixels" * 9999), "y.GZ": b"plain", "z.gz": b""}
    (tmp_path / "a").write_bytes(pack(content))
    folder_of(content, tmp_path / "b")
    unpacked = {"gzip/x.gz": b"pixels" * 9999, "y.GZ": b"plain", "z.gz": b""}
    for name in ("a", "b"):
        files = open_files(tmp_path / name)
        assert dict(files.walk(lambda name: True)) == unpacked
        assert {name: files.read(name) for name in content} == unpacked


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_litter_is_passed_over(pack: Callable[[dict[str, bytes]], bytes], tmp_path: Path) -> None:
    litter = ["__MACOSX/a/._1.png", "a/._1.png", ".DS_Store", "a/Thumbs.db", "a/desktop.ini"]
    kept = ["a/1.png", "a/_1.png", "MACOSX/1.png", "a/my.DS_Store.png"]
    content = dict.fromkeys([*litter, *kept], b"x")
    (tmp_path / "archive").write_bytes(pack(content))
    folder_of(content, tmp_path / "folder")
    assert open_files(tmp_path / "archive").names() == kept
    assert open_files(tmp_path / "folder").names() == sorted(kept)


def test_tar_of_a_folder_starts_with_dots(tmp_path: Path) -> None:
    """`tar -c .` writes ``./``, and the folders themselves, which may come twice."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in (".", "./a", "./a"):
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
        archive.addfile(tarfile.TarInfo("./a/1.png"))
    (tmp_path / "a.tar").write_bytes(stream.getvalue())
    assert open_files(tmp_path / "a.tar").names() == ["a/1.png"]


def _member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> bytes:
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(member)
    return stream.getvalue()


def _zip_info(name: str, mode: int = 0, data: bytes = b"x", method: int = 0) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, data, method)
    return stream.getvalue()


def _flagged(data: bytes, flag: int) -> bytes:
    """Set a flag in the headers of a zip of one member."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[data.index(mark) + offset] |= flag
    return bytes(changed)


def _sparse() -> bytes:
    """A tar with an old GNU sparse file: next to nothing stored, a gigabyte promised."""
    data = bytearray(_member("a.png"))
    data[156:157] = tarfile.GNUTYPE_SPARSE
    data[257:265] = b"ustar  \0"
    data[386:410] = b"%011o\0%011o\0" % (0, 0)
    data[483:495] = b"%011o\0" % 2**30
    return _summed(data)


def _summed(data: bytearray) -> bytes:
    """Put the right checksum into a tar's first header."""
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def _pax_bomb() -> bytes:
    """An extended header of 15 MiB, which tarfile would read at once."""
    data = bytearray(_member("a.png", tarfile.XHDTYPE, size=15 * MIB))
    return _gzip(bytes(data[:512]) + b" " * 15 * MIB + _member("b.png"))


def _negative() -> bytes:
    """A size below 0: some versions of tarfile go back, and round in circles."""
    data = bytearray(_member("a.png"))
    data[124:136] = b"\xff" * 10 + struct.pack(">h", -1024)
    return _summed(data)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up.png", "a/../../up.png", "C:/x", "c:x", ".."]
)
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_names_that_lead_out_are_refused(
    pack: Callable[[dict[str, bytes]], bytes], name: str, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(pack({"fine.png": b"", name: b""}))
    with pytest.raises(DataError, match="holds a") as caught:
        open_files(tmp_path / "a")
    assert repr(name) in caught.value.message


HOSTILE: dict[str, tuple[bytes, str]] = {
    "zip: backslash": (_zip_info("a\\b.png"), "backslash"),
    "tar: backslash": (tar_of({"..\\b.png": b""}), "backslash"),
    "zip: zero byte": (_zip_info("ab.png").replace(b"ab.png", b"a\0.png"), "no text"),
    "tar: not UTF-8": (_summed(bytearray(_member("ab.png").replace(b"ab", b"a\xff"))), "damaged"),
    "zip: link": (_zip_info("a.png", stat.S_IFLNK | 0o777, b"/etc/passwd"), "link"),
    "zip: device": (_zip_info("a.png", stat.S_IFCHR | 0o777), "device"),
    "zip: folder that leads out": (_zip_info("../a/"), "leads out"),
    "zip: encrypted": (_flagged(_zip_info("a.png"), 1), "encrypted"),
    "zip: strongly encrypted": (_flagged(_zip_info("a.png"), 0x41), "encrypted"),
    "zip: patched": (_flagged(_zip_info("a.png"), 0x20), "damaged"),
    # These two unpack a whole block at once, however large.
    "zip: bzip2": (_zip_info("a.png", method=zipfile.ZIP_BZIP2), "method 12"),
    "zip: LZMA": (_zip_info("a.png", method=zipfile.ZIP_LZMA), "method 14"),
    "zip: twice": (zip_of({"a.png": b"1", "./a.png": b"2"}), "'a.png' twice"),
    # zipfile checks the sum only of what it reads: here nothing.
    "zip: emptied": (
        zip_of({"a.png": b"123"}).replace(struct.pack("<I", 3), bytes(4)),
        "'a.png' is empty, its sum is not",
    ),
    "zip: something before": (
        b"PK\3\4" + zip_of({"a.png": b"123"}),
        "list of members is not where it says",
    ),
    "tar: twice": (tar_of({"a.png": b"1", "./a.png": b"2"}), "'a.png' twice"),
    "tar: link": (_member("a.png", tarfile.SYMTYPE, linkname="/etc/passwd"), "link"),
    "tar: hard link": (_member("a.png", tarfile.LNKTYPE, linkname="b.png"), "link"),
    "tar: pipe": (_member("a.png", tarfile.FIFOTYPE), "device"),
    "tar: device": (_member("a.png", tarfile.CHRTYPE), "device"),
    "tar: unknown type": (_member("a.png", b"Z"), "device"),
    "tar: sparse": (_sparse(), "sparse"),
    "tar: folder that leads out": (_member("../a", tarfile.DIRTYPE), "leads out"),
    "tar: size below 0": (_negative(), "damaged"),
    "tar: long header": (_pax_bomb(), "damaged"),
    # Each long name holds another: tarfile follows them by recursion.
    "tar: names without end": (
        (_member("a", tarfile.GNUTYPE_LONGNAME)[:512]) * 3000 + bytes(1024),
        "damaged",
    ),
    "zip: bomb": (zip_of({"a": bytes(17 * MIB)}), "unpacks to more than 16,777,216"),
    "zip: bomb of many": (
        zip_of({f"{i}": bytes(MIB) for i in range(17)}),
        "unpacks to more than 16,777,216",
    ),
    "tar: bomb": (_gzip(tar_of({"a": bytes(17 * MIB)})), "unpacks to more than"),
    "tar: bomb behind the end": (
        _gzip(tar_of({"a": b""}) + bytes(17 * MIB)),
        "unpacks to more",
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_before_anything_is_read(case: str, tmp_path: Path) -> None:
    data, says = HOSTILE[case]
    (tmp_path / "a").write_bytes(data)
    peaks = []
    for _ in range(3):  # threads of other tests, and first imports, add to what is traced
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match=says) as caught:
                # A patched member is only found out when it is opened.
                list(open_files(tmp_path / "a").walk(lambda name: True))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert min(peaks) < 6 * MIB
    assert str(tmp_path / "a") in caught.value.message
    assert "\n" not in str(caught.value)


def test_zip_that_lies_about_a_size(tmp_path: Path) -> None:
    """17 MiB declared as 100 bytes: no more than those are ever unpacked."""
    data = bytearray(zip_of({"a": bytes(17 * MIB)}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(mark) + offset, 100)
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        open_files(tmp_path / "a.zip").read("a")
    # And the other way round, the sum right.
    data = bytearray(zip_of({"a": b"pixel"}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(mark) + offset, 100)
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="shorter than promised"):
        open_files(tmp_path / "a.zip").read("a")


def test_zip_whose_members_are_swallowed(tmp_path: Path) -> None:
    """A spoiled length of a comment: zipfile takes the second member for it, and says nothing."""
    data = bytearray(zip_of({"a": b"1", "b": b"2"}))
    data[data.index(b"PK\x01\x02") + 32] = 47
    (tmp_path / "a.zip").write_bytes(data)
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == ["a"]
    with pytest.raises(DataError, match="says that it has 2 members"):
        open_files(tmp_path / "a.zip")


def test_zip_of_many_with_a_comment(tmp_path: Path) -> None:
    """Beyond 65,535 members, they are counted in another place."""
    for count in (3, 66_000):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.comment = b"from the publisher"
            for i in range(count):
                archive.writestr(zipfile.ZipInfo(f"{i}"), b"")
        assert len(open_files(tmp_path / "a.zip").names()) == count


def test_members_that_share_their_data(tmp_path: Path) -> None:
    """A bomb without layers: many names for one member, each counted as it unpacks."""
    data = zip_of({"0": bytes(MIB)})
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entries = b"".join(data[at : end - 1] + bytes([65 + i]) for i in range(20))
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 20, 20, len(entries), at, 0)
    (tmp_path / "a.zip").write_bytes(data[:at] + entries + tail)
    with pytest.raises(DataError, match="unpacks to more"):
        open_files(tmp_path / "a.zip")


def test_gzip_in_zip_that_unpacks_too_far(tmp_path: Path) -> None:
    bomb = _gzip(bytes(17 * MIB))
    (tmp_path / "a.zip").write_bytes(zip_of({"a.gz": bomb}))
    files = open_files(tmp_path / "a.zip")
    with pytest.raises(DataError, match=r"'a\.gz' unpacks to more"):
        files.read("a.gz")
    # Each alone would do.
    half = _gzip(bytes(9 * MIB))
    (tmp_path / "b.zip").write_bytes(zip_of({"a.gz": half, "b.gz": half}))
    with pytest.raises(DataError, match=r"b\.zip unpacks to more"):
        list(open_files(tmp_path / "b.zip").walk(lambda name: True))


@pytest.mark.parametrize("build", ["zip", "tar", "folder"])
def test_too_many_members(build: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CONTAINERS[build](tmp_path / "a")
    monkeypatch.setattr(files_module, "MAX_MEMBERS", 4)
    assert len(open_files(tmp_path / "a").names()) == 4
    monkeypatch.setattr(files_module, "MAX_MEMBERS", 3)
    with pytest.raises(DataError, match="more files than") as caught:
        open_files(tmp_path / "a")
    assert caught.value.allowed == "3"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tar: tar[:1024], "the end is missing"),  # cut between two members
        (lambda tar: tar[:1536], "damaged"),  # within the second
        (lambda tar: tar[:700], "damaged"),
        # Tarfile alone takes a spoiled header for the end, and loses what follows.
        (lambda tar: tar[:1024] + b"\xff" + tar[1025:], "a header is damaged"),
        (lambda tar: tar[:1024] + bytes(512) + tar[1536:], "something follows"),
        (lambda tar: tar + tar, "something follows"),
        (lambda tar: b"", "it is empty"),
        (lambda tar: b"<html>404</html>", "starts with b'<html>40'"),
        (lambda tar: _gzip(b"label,1\n"), "gzip without a tar"),
        (lambda tar: _gzip(tar)[:-20], "ends too early"),
        (lambda tar: _gzip(tar) + b"more", "something else follows"),
        (lambda tar: lzma.compress(tar)[:-20], "damaged"),
    ],
)
def test_damaged_tar(change: Callable[[bytes], bytes], says: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(change(tar_of({"a": b"12", "b": b"34"})))
    with pytest.raises(DataError, match=says):
        open_files(tmp_path / "a.tar")


def test_xz_that_asks_for_a_gigabyte(tmp_path: Path) -> None:
    data = bytearray(lzma.compress(tar_of(CONTENT)))
    header = slice(12, 12 + (data[12] + 1) * 4 - 4)
    data[16] = 37  # size of the dictionary: 1.5 GiB
    data[header.stop : header.stop + 4] = struct.pack("<I", zlib.crc32(data[header]))
    (tmp_path / "a.tar.xz").write_bytes(data)
    with pytest.raises(DataError, match="Memory usage limit"):
        open_files(tmp_path / "a.tar.xz")


def test_links_in_a_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "set", tmp_path / "outside"
    folder_of({"1.png": b"one", "a/2.png": b"two"}, folder)
    folder_of({"3.png": b"three"}, outside)
    (folder / "linked").symlink_to(outside)  # not entered
    (folder / "again").symlink_to(folder)  # nor in circles
    (folder / "a" / "same.png").symlink_to("../1.png")
    (folder / "a" / "gone.png").symlink_to("nothing.png")
    os.mkfifo(folder / "pipe.png")  # would block whoever opens it
    (tmp_path / "link").symlink_to(folder)
    for path in (folder, tmp_path / "link"):
        files = open_files(path)
        assert files.names() == ["1.png", "a/2.png", "a/same.png"]
        assert files.read("a/same.png") == b"one"
    # One's own folder may link to a store elsewhere.
    (folder / "a" / "out.png").symlink_to(outside / "3.png")
    assert open_files(folder).read("a/out.png") == b"three"


def test_shared_folder_is_read_only_where_it_may_matter(tmp_path: Path) -> None:
    folder_of(
        {"hoda/1.cdb": b"", "ahcd/1.csv": b"", "ahcd.zip": b"", "x/ahcd/2.csv": b""}, tmp_path
    )
    assert open_files(tmp_path, top="^ahcd").names() == ["ahcd.zip", "ahcd/1.csv"]


def test_file_that_goes_away(tmp_path: Path) -> None:
    folder_of(CONTENT, tmp_path)
    files = open_files(tmp_path)
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(DataError, match=r"cannot read .*'labels\.csv'.*No such file"):
        files.read("labels.csv")
    with pytest.raises(DataError, match="there is no file or folder"):
        open_files(tmp_path / "missing")
    with pytest.raises(DataError, match="there is no file"):
        open_plain(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.zip", b"", True),  # damaged: `open_files` says so
        ("a.TAR.XZ", b"", True),
        ("a.dat", zip_of({}), True),
        ("a.dat", tar_of(CONTENT), True),
        ("a.dat", _gzip(tar_of(CONTENT)), True),
        ("a.csv.gz", _gzip(b"1,2\n" * 1000), False),
        ("a.csv.gz", _gzip(b"1,2\n" * 1000)[:30], False),
        ("a.csv", b"1,2\n" * 1000, False),
        ("a", b"", False),
    ],
)
def test_is_archive(name: str, data: bytes, expected: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert is_archive(tmp_path / name) is expected
    assert not is_archive(tmp_path)


def test_plain_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for data in (b"", b"1", b"label," * 100_000):
        # Packed in one piece or in several, padded as tapes are, or not at all.
        parts = _gzip(data[:50]) + _gzip(data[50:])
        for packed in (data, _gzip(data), parts, _gzip(data) + bytes(512)):
            path.write_bytes(packed)
            with open_plain(path) as stream:
                assert stream.read() == data
            with open_plain(path) as stream:
                assert b"".join(iter(lambda: stream.read(7777), b"")) == data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_gzip(b"label" * 1000)[:-1], "ends too early"),
        (_gzip(b"label" * 1000)[:5], "ends too early"),
        (_gzip(b"label" * 1000)[:-8] + bytes(8), "damaged"),  # a wrong sum
        (_gzip(b"label") + b"garbage", "something else follows"),
        (_gzip(bytes(17 * MIB)), "unpacks to more than"),
    ],
)
def test_damaged_gzip(data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(data)
    with open_plain(tmp_path / "a.gz") as stream, pytest.raises(DataError, match=says) as caught:
        list(iter(lambda: stream.read(MIB), b""))
    assert "a.gz" in caught.value.message


@pytest.mark.parametrize(
    ("name", "count", "suffix", "seconds"),
    [
        ("hijja2/hijja2.tar.xz", 47434, ".png", 10),
        ("comnist/Cyrillic.zip", 12951, ".png", 5),
        ("ahcd/Test Images 3360x32x32.zip", 3360, ".png", 5),
    ],
)
def test_real_archives(name: str, count: int, suffix: str, seconds: int, data_dir: Path) -> None:
    if not (data_dir / name).is_file():
        pytest.skip(f"{name} is not there")
    start = time.monotonic()
    with open_files(data_dir / name) as files:
        found = dict(files.walk(lambda name: name.endswith(suffix)))
        assert list(found) == files.names()
    assert time.monotonic() - start < seconds
    assert len(found) == count
    assert all(data.startswith(b"\x89PNG") for data in found.values())
