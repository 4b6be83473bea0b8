from __future__ import annotations

import json
from pathlib import Path

import pytest

from hcr_export.machine import Machine, this_machine

# Lines as the kernel writes them: Intel with AVX-512 VNNI, AMD without, a Raspberry Pi 4 and 5.
CPUINFO = {
    "xeon": ("model name\t: Intel(R) Xeon(R)\nflags\t\t: fpu avx2 avx512f avx512_vnni\n", True),
    "epyc": ("model name\t: AMD EPYC\nflags\t\t: fpu avx2 sse4a\n", False),
    "pi4": ("processor\t: 0\nFeatures\t: fp asimd evtstrm crc32\n", False),
    "pi5": ("processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp\n", True),
    "silent": ("", None),
}


@pytest.mark.parametrize("name", CPUINFO)
def test_says_whether_int8_is_fast(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, int8 = CPUINFO[name]
    read = Path.read_text

    def told(path: Path, *arguments: object, **options: object) -> str:
        return text if str(path) == "/proc/cpuinfo" else read(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", told)
    machine = this_machine()
    assert machine.int8 is int8
    word = {True: "with 8-bit", False: "without 8-bit", None: "perhaps with 8-bit"}[int8]
    assert word in str(machine)
    assert json.loads(json.dumps(machine.to_dict()))["int8"] is int8


def test_a_system_without_cpuinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", refuse)
    machine = this_machine()
    assert isinstance(machine, Machine)
    assert machine.features is None
    assert machine.cores >= 1
