"""Import tracks of the published code of SOLA: ``python -m sola.published --help``.

All other arguments are those of generate.py. The tree is the folder that holds gt_tracks/,
grid_tracks/ or gdino_tracks/. tracker.checkpoint must be the tracker's weights, their SHA-256, or
unknown.
"""

import argparse
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from sola.config import compose
from sola.config.entry_points import GenerateConfig
from sola.config.program import run_program
from sola.errors import UserError
from sola.files import sha256_of_file

UNKNOWN = "unknown"
log = logging.getLogger(__name__)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(prog="python -m sola.published", description=__doc__)
    parser.add_argument("direction", choices=["import"])
    parser.add_argument("tree", type=Path)
    parser.add_argument("values", nargs="*", help="dataset, split, prompt_source, tracker, ...")
    parser.add_argument("--dataset-dir", help="the data set's folder in the tree; default its name")
    return parser.parse_intermixed_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Import a tree."""
    from sola.published.importing import PROMPT_TYPES, import_tracks
    from sola.shards import ShardWriter, tracks_dir

    config: GenerateConfig = compose("generate", ["paths.output_dir=none", *options.values])
    name, source, tracker = config.dataset.name, config.prompt_source.name, config.tracker
    if source not in PROMPT_TYPES:
        known = ", ".join(PROMPT_TYPES)
        raise UserError(f"prompt_source={source}: the published code only has tracks of {known}.")
    split_dir = options.tree / f"{source}_tracks" / (options.dataset_dir or name) / config.split
    folder = tracks_dir(Path(config.paths.data_dir), name, config.split, source, tracker.name)
    weights = _weights_sha256(str(config.values["tracker"].get("checkpoint")))
    dataset = config.dataset.open(config.split)
    description = {
        "dataset": name,
        "split": config.split,
        "source": source,
        "tracker": tracker.name,
        "token_dim": tracker.token_dim,
        "checkpoint_sha256": weights,
        "token_dtype": "float32" if config.token_dtype == "auto" else config.token_dtype,
        **({"detector_sha256": UNKNOWN} if source == "gdino" else {}),
        "annotations_sha256": dataset.annotations_sha256,
        "config": {"imported_from": "track files of the published code"},
    }
    writer = ShardWriter(folder, description)
    if writer.is_finished:
        log.info("%s: exists, nothing to do", folder)
        return 0
    import_tracks(split_dir, writer, source, tracker.token_dim or 0, dataset)
    log.info("%s: tracks of %s", folder, split_dir)
    return 0


def _weights_sha256(checkpoint: str) -> str:
    """Return the SHA-256 of the tracker's weights, as given or of a file; or "unknown"."""
    if Path(checkpoint).is_file():
        return sha256_of_file(Path(checkpoint))
    if not re.fullmatch(f"{UNKNOWN}|[0-9a-f]{{64}}", checkpoint):
        raise UserError(
            f"tracker.checkpoint={checkpoint}: not found. Set it to the weights that made the "
            f"tracks: SAM 2's file, its SHA-256, or {UNKNOWN}."
        )
    return checkpoint


if __name__ == "__main__":
    run_program(lambda: run(parse_arguments()))
