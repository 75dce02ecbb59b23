"""What tests of the monitoring share: its files, read."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.files import MONITORING


@pytest.fixture(scope="session")
def rules() -> list[dict[str, Any]]:
    """All rules, recording ones and alerts."""
    return [
        rule
        for path in sorted((MONITORING / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


@pytest.fixture(scope="session")
def alerts(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The alerts among them; a name may come twice, with two severities."""
    return [rule for rule in rules if "alert" in rule]


@pytest.fixture(scope="session")
def runbooks() -> dict[str, str]:
    """Each page's text by its name."""
    return {path.stem: path.read_text() for path in sorted(Path("docs/runbooks").glob("*.md"))}
