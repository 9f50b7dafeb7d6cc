"""Results of a run under a name that says unfinished, until all of them are complete."""

import shutil
from collections.abc import Sequence
from pathlib import Path

STAGING_DIR = "unfinished.part"


def start_staging(output_dir: Path, names: Sequence[str]) -> Path:
    """An empty folder for what is not complete yet; what an earlier run left is removed.

    Args:
        output_dir: where the results will lie.
        names: of the results, files or folders; they are removed in this order, each at once.

    Returns:
        The folder, in ``output_dir``.
    """
    staging_dir = output_dir / STAGING_DIR
    if staging_dir.exists():
        shutil.rmtree(staging_dir)
    old_dir = staging_dir / "old"
    old_dir.mkdir(parents=True)
    for name in names:
        if (output_dir / name).exists():
            (output_dir / name).rename(old_dir / name)
    shutil.rmtree(old_dir)
    return staging_dir


def publish(staging_dir: Path, names: Sequence[str]) -> None:
    """Gives complete results their final names, the last name first.

    So the first name is there only when all are; one that was not made is passed over.
    """
    for name in reversed(names):
        if (staging_dir / name).exists():
            (staging_dir / name).rename(staging_dir.parent / name)
    staging_dir.rmdir()
