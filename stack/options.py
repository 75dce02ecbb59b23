"""Options that commands share."""

import os
from pathlib import Path

import click


def usual_data_dir() -> Path:
    """The data folder when none is named."""
    return Path(os.environ.get("GAJI_DATA_DIR") or ".data")


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=usual_data_dir,
    metavar="DIR",
    help="The stack's data folder; else GAJI_DATA_DIR, else .data.",
)
