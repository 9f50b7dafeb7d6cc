"""Says which finished tracks are damaged: ``python -m sola.shards check <folder>``.

--repair takes them out: the sound ones are put back to where generate.py goes on from, so that the
same command that made the folder makes the damaged ones again, and nothing else.
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
    """Checks, and repairs where it is asked for; returns 1 where something is damaged still."""
    from sola.shards.repair import check_tracks, unfinish

    folder: Path = options.folder
    found = check_tracks(folder)
    lines = [*([found.index_fault] if found.index_fault else []), *found.damaged.values()]
    lines.append(f"{folder}: {len(found.sound)} entries sound, {len(found.damaged)} damaged")
    if not found.has_checksums:
        lines.append(
            "These tracks are of format 2, without checksums: only what cannot be read is found. "
            "--repair, and generate.py after it, give them checksums as they are."
        )
    if options.repair and (found.needs_repair or not found.has_checksums):
        unfinish(folder, found)
        lines.append(
            "The sound ones are kept. Now run generate.py as before: it makes what is missing, and "
            "writes the shards."
        )
    elif found.needs_repair:
        lines.append(f"python -m sola.shards check {folder} --repair takes them out.")
    sys.stdout.write("\n".join([*lines, ""]))
    return int(found.needs_repair and not options.repair)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; ends the process."""
    options = parse_arguments(arguments)
    run_program(lambda: run(options), "generate")


if __name__ == "__main__":
    main()
