"""What the processor can do that decides how a network is computed."""

from __future__ import annotations

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
DOT_PRODUCT = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp"})
"""Flags of chips that add INT8 products in 32 bits: Intel from Ice Lake on, AMD from Zen 4 on, ARMv8.2."""


BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})
"""Flags of chips that multiply bfloat16: Intel from Cooper Lake and Sapphire Rapids on, AMD from Zen 4 on."""


def adds_int8_exactly(cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether INT8 arithmetic is exact here; False where the system does not say.

    Other x86 chips add two products in 16 bits, which saturates: boxes get lost, without any message.
    """
    return not DOT_PRODUCT.isdisjoint(_flags(cpuinfo))


def multiplies_bf16(cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether bfloat16 is faster than f32 here; False where the system does not say."""
    return not BFLOAT16.isdisjoint(_flags(cpuinfo))


def _flags(cpuinfo: Path) -> list[str]:
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = (line for line in text.splitlines() if line.lower().startswith(("flags", "features")))
    return next(lines, "").lower().split()
