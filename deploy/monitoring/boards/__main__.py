"""Writes the dashboards: ``python -m deploy.monitoring.boards [ADDRESS OF THE RUNBOOKS]``."""

import sys
from pathlib import Path

from deploy.monitoring.boards import BOARDS, RUNBOOKS, rendered

FOLDER = Path(__file__).parents[1] / "dashboards"


def main(arguments: list[str]) -> None:
    """Writes one file for each dashboard and removes what is no dashboard any more."""
    runbooks = arguments[0].rstrip("/") if arguments else RUNBOOKS
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for board in BOARDS:
        (FOLDER / f"{board.name}.json").write_text(rendered(board, runbooks), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
