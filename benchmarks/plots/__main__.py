"""Draws what a run of `make bench` found.

Usage: python -m benchmarks.plots FOLDER [OUT]. FOLDER has the JSON files of a run; the pictures go into OUT, by default
the same folder: relay.svg, knee.svg and search.svg, those of them whose files are there.
"""

import argparse
import json
from pathlib import Path

from benchmarks.plots.charts import CHARTS


def draw(folder: Path, out: Path) -> list[Path]:
    """Draws what there is figures of; the pictures.

    Raises:
        KeyError: a file is not what `benchmarks.results` says.
    """
    made = []
    for name, (picture, chart) in CHARTS.items():
        path = folder / f"{name}.json"
        if path.is_file():
            target = out / f"{picture}.svg"
            target.write_text(chart(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
            made.append(target)
    return made


def main() -> None:
    """Draws and says what."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    arguments = parser.parse_args()
    for path in draw(arguments.folder, arguments.out or arguments.folder):
        print(path)


if __name__ == "__main__":
    main()
