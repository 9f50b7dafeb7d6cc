"""Checks masks before they are handed in: ``python -m sola.prediction.check_submission --help``.

Takes what predict.py submission=true wrote, or any other system. Lists everything that is wrong,
and ends with status 1 if anything is.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sola.config import compose
from sola.config.entry import run_program
from sola.config.entry_points import PredictConfig


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m sola.prediction.check_submission",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", type=Path, help="the zip, or a folder of what it would hold")
    parser.add_argument(
        "values", nargs="*", help="what was answered, as for predict.py: dataset=mevis split=valid"
    )
    return parser.parse_args(arguments)


def check(options: argparse.Namespace) -> int:
    """Prints every fault, one a line; 1 if there are any."""
    from sola.evaluation.submission_faults import find_faults, wanted_masks

    # predict.py's own values, but for those that only a run has
    config: PredictConfig = compose(
        "predict", ["ckpt_path=none", "paths.output_dir=none", *options.values]
    )
    dataset = config.dataset.open(config.split)
    wanted = wanted_masks(dataset)
    faults = find_faults(options.path, wanted, config.dataset.submission_top_dir)
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    sys.stdout.write(
        f"{options.path}: {len(faults) or 'no'} faults; {dataset.name}/{dataset.split} needs "
        f"{len(wanted)} masks for {len(dataset.expressions)} expressions\n"
    )
    return 1 if faults else 0


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; ends the process."""
    options = parse_arguments(arguments)
    run_program(lambda: check(options), "predict")


if __name__ == "__main__":
    main()
