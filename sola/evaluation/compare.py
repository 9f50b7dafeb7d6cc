"""Compares two runs on the same expressions: ``python -m sola.evaluation.compare --help``.

Takes two output folders of evaluate.py, be it of selectors or of predictions=..., and prints the
difference, B - A, with its bootstrap interval and p-value.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sola.config.entry import run_program


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m sola.evaluation.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_a", type=Path, help="an output folder of evaluate.py")
    parser.add_argument("run_b", type=Path, help="another, on the same split")
    parser.add_argument(
        "--answer", default="selection", help="which answer to compare; selection unless told"
    )
    parser.add_argument("--json", type=Path, help="a file to write all numbers to")
    return parser.parse_args(arguments)


def run_comparison(options: argparse.Namespace) -> int:
    """Prints the table; writes a file only where one is asked for."""
    from sola.evaluation.comparison import compare, read_run
    from sola.evaluation.table import print_comparison
    from sola.files import write_json

    found = compare(read_run(options.run_a), read_run(options.run_b), options.answer)
    print_comparison(found)
    if options.json is not None:
        write_json(options.json, found)
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; ends the process."""
    options = parse_arguments(arguments)
    run_program(lambda: run_comparison(options), "evaluate")


if __name__ == "__main__":
    main()
