"""The command line as a fixture."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.support import ROOT, Done, command, environment


@pytest.fixture(scope="session")
def kerbwatch():
    """Run a verb to its end."""

    def call(*words, timeout=240, **more):
        done = subprocess.run(  # noqa: PLW1510 - the caller looks at the code
            command(*words),
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=ROOT,
            env=environment(**more),
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return call
