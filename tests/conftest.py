"""Settings of every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A property is about values, not about how busy the machine is; in CI the same examples are tried every time.
settings.register_profile(
    "kerbwatch",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("kerbwatch")
