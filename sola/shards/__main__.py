"""Say which finished tracks are damaged: ``python -m sola.shards check <folder>``.

--repair moves damaged files into the folder damaged/ and deletes nothing. The same command that
made the tracks then makes the damaged ones again, and nothing else. While a file cannot be read
(permissions, a disk that is not mounted, too many open files), nothing is changed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sola.config.entry import run_program


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser(prog="python -m sola.shards", description=__doc__)
    parser.add_argument("task", choices=["check"])
    parser.add_argument(
        "folder", type=Path, help="data/tracks/<dataset>/<split>/<source>/<tracker>"
    )
    parser.add_argument("--repair", action="store_true")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Check, and repair where requested; return 1 if something is still wrong."""
    from sola.shards.repair import check_tracks, unfinish

    folder: Path = options.folder
    found = check_tracks(folder)
    num_entries = len(found.index["entries"])
    lines = [*found.messages, f"{folder}: {len(found.sound)} of {num_entries} entries are sound"]
    is_repaired = options.repair and found.is_known and bool(found.messages)
    if is_repaired:
        lines.extend(f"moved to {path}" for path in unfinish(folder, found))
        lines.append(
            "All sound entries are kept. Now run generate.py as before: it makes what is missing, "
            "and writes the shards."
        )
    elif not found.is_known:
        lines.append("Nothing was changed: a file that cannot be read may be sound.")
    elif found.messages:
        lines.append(f"python -m sola.shards check {folder} --repair moves the damage aside.")
    sys.stdout.write("\n".join([*lines, ""]))
    return int(bool(found.messages) and not is_repaired)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; ends the process."""
    options = parse_arguments(arguments)
    run_program(lambda: run(options), "generate")


if __name__ == "__main__":
    main()
