"""Check finished tracks for damage: ``sola check tracks <folder>``.

--repair moves damaged files into the folder damaged/ and deletes nothing. The command that made the
tracks then makes the damaged entries again, and nothing else. While a file cannot be read
(permissions, a disk that is not mounted, too many open files), nothing is changed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sola.config.entry import run_program


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; ends the process."""
    parser = argparse.ArgumentParser(prog="python -m sola.shards", description=__doc__)
    parser.add_argument("task", choices=["check"])
    places = "data/tracks/<dataset>/<split>/<source>/<tracker>"
    parser.add_argument("folder", type=Path, help=places)
    parser.add_argument("--repair", action="store_true")
    options = parser.parse_args(arguments)
    run_program(lambda: check(options.folder, is_repair=options.repair))


def check(folder: Path, *, is_repair: bool) -> int:
    """Check, and repair where requested; returns 1 if something is still wrong."""
    from sola.shards.repair import check_tracks, unfinish

    found = check_tracks(folder)
    messages = dict.fromkeys(str(error) for _, error in found.errors)
    lines = [
        *messages,
        f"{folder}: {len(found.sound)} of {len(found.index['entries'])} entries are sound",
    ]
    is_repaired = is_repair and found.is_known and bool(messages)
    if is_repaired:
        lines.extend(f"moved to {path}" for path in unfinish(folder, found))
        lines.append("All sound entries are kept. Run generate.py as before to make the others.")
    elif not found.is_known:
        lines.append("Nothing was changed: a file that cannot be read may be sound.")
    elif messages:
        lines.append(f"sola check tracks {folder} --repair moves the damage aside.")
    sys.stdout.write("\n".join([*lines, ""]))
    return int(bool(messages) and not is_repaired)


if __name__ == "__main__":
    main()
