"""The machine on which something was measured: what decides whether int8 pays."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Instructions that multiply 8-bit integers, as /proc/cpuinfo names them: x86's VNNI, and Arm's
# dot product and matrix extensions.
INT8_FEATURES = ("avx512_vnni", "avx_vnni", "asimddp", "i8mm")
_VECTOR_FEATURES = ("avx2", "avx512f", "asimd")


@dataclass(frozen=True, slots=True)
class Machine:
    """What a measurement was made on.

    Attributes:
        system: E.g. ``Linux x86_64``.
        processor: Its name; empty where the system does not tell.
        cores: Logical ones.
        features: Vector instructions of the processor that matter here; None where unknown.
    """

    system: str
    processor: str
    cores: int
    features: tuple[str, ...] | None

    @property
    def int8(self) -> bool | None:
        """Whether it multiplies 8-bit integers in one step; None where unknown."""
        if self.features is None:
            return None
        return any(name in INT8_FEATURES for name in self.features)

    def __str__(self) -> str:
        int8 = {True: "with", False: "without", None: "perhaps with"}[self.int8]
        listing = f" ({', '.join(self.features)})" if self.features else ""
        name = self.processor or "processor"
        return f"{self.system}, {name}, {self.cores} cores, {int8} 8-bit dot products{listing}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        features = None if self.features is None else list(self.features)
        return {**asdict(self), "features": features, "int8": self.int8}


def this_machine() -> Machine:
    """Describe the machine that runs this."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=_field(text, "model name") or platform.processor(),
        cores=os.cpu_count() or 1,
        features=_features(text),
    )


def _features(cpuinfo: str) -> tuple[str, ...] | None:
    flags = _field(cpuinfo, "flags") or _field(cpuinfo, "Features")
    if not flags:
        return None
    known = set(flags.split())
    return tuple(name for name in (*_VECTOR_FEATURES, *INT8_FEATURES) if name in known)


def _field(cpuinfo: str, name: str) -> str:
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
