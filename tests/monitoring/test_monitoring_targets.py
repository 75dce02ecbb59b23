"""Where Prometheus is told to look: at every process, whether it runs just now or not."""

import json
from pathlib import Path

from stack.children import children_of, place
from stack.ports import Ports
from stack.targets import forget_targets, targets_file, write_targets


def test_every_process_is_told_of_until_the_stack_stops(tmp_path: Path) -> None:
    placed, _ = place(Ports(), 0, {"generation": 2})
    write_targets(tmp_path, children_of(placed, {}, tmp_path))
    told = json.loads(targets_file(tmp_path).read_text())
    assert [(group["targets"], group["labels"]) for group in told] == [
        ([replica.admin], {"room": replica.room.name, "replica": replica.name}) for replica in placed
    ]
    assert {"generation", "generation-2"} <= {group["labels"]["replica"] for group in told}
    forget_targets(tmp_path)
    forget_targets(tmp_path)
    assert not targets_file(tmp_path).exists()
