"""Says what is there of a data set, and everything that is wrong with it.

python -m sola.datasets --help
"""

import sys

from sola.config import main
from sola.config.entry_points import CheckConfig


def check(config: CheckConfig) -> None:
    """Print a report of every split; end with status 1 if something would break a run."""
    from sola.datasets.check import check_dataset

    num_errors = 0
    for part in config.dataset.parts.values():
        reports = check_dataset(
            part, config.split, decode=config.decode, num_threads=config.num_threads
        )
        for report in reports:
            sys.stdout.write("\n".join([*report.lines(), "", ""]))
            num_errors += len(report.errors)
    if num_errors:
        sys.exit(1)


if __name__ == "__main__":
    main("check", check)
