"""``sola check submission``: lists everything that is wrong with masks before they are handed in.

Takes what predict.py submission=true wrote, or the masks of any other system. Ends with status 1 if
anything is wrong.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sola.config import compose
from sola.config.entry import run_program
from sola.config.entry_points import PredictConfig


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; ends the process."""
    parser = argparse.ArgumentParser(prog="sola check submission", description=__doc__)
    parser.add_argument("path", type=Path, help="the zip, or a folder of what it would hold")
    parser.add_argument("values", nargs="*", help="as for predict.py: dataset=mevis split=valid")
    options = parser.parse_args(arguments)
    run_program(lambda: _check(options.path, options.values))


def _check(path: Path, values: Sequence[str]) -> int:
    from sola.evaluation.predictions import wanted_masks
    from sola.prediction.submission import find_faults

    # predict.py's own values, except those that only a run has
    values = ["ckpt_path=none", "paths.output_dir=none", *values]
    config: PredictConfig = compose("predict", values)
    dataset = config.dataset.open(config.split)
    wanted = wanted_masks(dataset)
    faults = find_faults(path, wanted, config.dataset.submission_top_dir)
    summary = (
        f"{path}: {len(faults) or 'no'} faults; {dataset.name}/{dataset.split} needs "
        f"{len(wanted)} masks for {len(dataset.expressions)} expressions"
    )
    sys.stdout.write("\n".join([*faults, summary, ""]))
    return 1 if faults else 0


if __name__ == "__main__":
    main()
