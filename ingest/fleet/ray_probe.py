"""Ask whether a Ray cluster answers: in a process of its own, for Ray's waiting cannot be cut short.

    python -m ingest.fleet.ray_probe HOST:PORT

Prints a line once it asks, then `{"ray": "2.60.0", "python": "3.11.9"}`, the versions of the cluster.
"""

from __future__ import annotations

import json
import sys


def main() -> int:
    """Print the versions; give the exit code."""
    from ray._common.usage import usage_lib
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    sys.stdout.write("asking\n")
    sys.stdout.flush()
    said = usage_lib.get_cluster_metadata(GcsClient(address=sys.argv[1])) or {}
    sys.stdout.write(
        json.dumps({"ray": said.get("ray_version"), "python": said.get("python_version")}) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
