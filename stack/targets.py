"""Where Prometheus finds the processes of a stack: ``DIR/run/targets.json``.

In the format of its file-based service discovery
(https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config), which reads the file again
whenever it changes. Every process is in it for as long as the stack runs: one that is missing would not be missed.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from stack.supervisor import Child


def targets_file(data_dir: Path) -> Path:
    """Where they are told."""
    return data_dir / "run" / "targets.json"


def write_targets(data_dir: Path, children: Iterable[Child]) -> None:
    """Writes the admin port of each process with its room and its name, whole or not at all.

    Args:
        data_dir: the stack's data folder.
        children: its processes; those without an admin port are passed over.
    """
    groups = [
        {"targets": [child.facts["admin"]], "labels": {"room": child.service, "replica": child.program.name}}
        for child in children
        if "admin" in child.facts
    ]
    path = targets_file(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(groups, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def forget_targets(data_dir: Path) -> None:
    """There is nothing to be read any more."""
    targets_file(data_dir).unlink(missing_ok=True)
