"""Tracks from and to the published code of SOLA: ``python -m sola.published --help``.

What the tracks are is said in generate.py's words. The tree is the folder that holds gt_tracks/,
grid_tracks/ or gdino_tracks/.
"""

import argparse
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sola.config import compose
from sola.config.entry import run_program
from sola.config.entry_points import GenerateConfig
from sola.errors import UserError
from sola.files import sha256_of_file

EPILOG = """
  python -m sola.published import <tree> dataset=mevis split=train prompt_source=gt \\
      tracker=sam2_hiera_large tracker.checkpoint=unknown
  python -m sola.published export <tree> dataset=mevis split=train prompt_source=gt \\
      tracker=sam2_hiera_large

import needs checkpoint=<the tracker's weights, or their SHA-256>, or tracker.checkpoint=unknown.
"""
UNKNOWN = "unknown"
log = logging.getLogger(__name__)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m sola.published",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("direction", choices=["import", "export"])
    parser.add_argument("tree", type=Path)
    parser.add_argument("values", nargs="*", help="dataset, split, prompt_source, tracker, ...")
    parser.add_argument("--dataset-dir", help="the data set's folder in the tree; default its name")
    parser.add_argument(
        "--without-dataset",
        action="store_true",
        help="import: the data set is not here; videos and labels are those that the tree names",
    )
    return parser.parse_intermixed_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Imports or exports."""
    from sola.published.exporting import export_tracks
    from sola.published.track_file import PROMPT_TYPES
    from sola.shards import ShardReader, tracks_dir

    config: GenerateConfig = compose("generate", ["paths.output_dir=none", *options.values])
    name, source = config.dataset.name, config.prompt_source.name
    if source not in PROMPT_TYPES:
        known = ", ".join(PROMPT_TYPES)
        raise UserError(f"prompt_source={source}: the published code has tracks of {known} alone.")
    split_dir = options.tree / f"{source}_tracks" / (options.dataset_dir or name) / config.split
    folder = tracks_dir(
        Path(config.paths.data_dir), name, config.split, source, config.tracker.name
    )
    if options.direction == "import":
        _import(config, split_dir, folder, with_dataset=not options.without_dataset)
        log.info("%s: tracks of %s", folder, split_dir)
    else:
        export_tracks(ShardReader(folder), split_dir)
        log.info("%s: tracks of %s", split_dir, folder)
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; ends the process."""
    options = parse_arguments(arguments)
    run_program(lambda: run(options), "generate")


def _import(config: GenerateConfig, split_dir: Path, folder: Path, *, with_dataset: bool) -> None:
    from sola.published.importing import import_tracks
    from sola.shards import ShardWriter

    weights = _weights_sha256(config.values["tracker"].get("checkpoint"))
    try:
        dataset = config.dataset.open(config.split) if with_dataset else None
    except UserError as error:
        raise UserError(f"{error} To import without the data set: --without-dataset.") from error
    annotations = {} if dataset is None else dataset.annotations_sha256
    writer = ShardWriter(folder, _describe(config, weights, annotations))
    if writer.is_finished:
        log.info("%s: is there already, nothing to do", folder)
        return
    import_tracks(
        split_dir, writer, config.prompt_source.name, config.tracker.token_dim or 0, dataset
    )


def _describe(
    config: GenerateConfig, weights: str, annotations_sha256: dict[str, str]
) -> dict[str, Any]:
    """What index.json says of imported tracks: nothing that the tree does not."""
    is_gdino = config.prompt_source.name == "gdino"
    return {
        "dataset": config.dataset.name,
        "split": config.split,
        "source": config.prompt_source.name,
        "tracker": config.tracker.name,
        "token_dim": config.tracker.token_dim,
        "checkpoint_sha256": weights,
        "token_dtype": "float32" if config.token_dtype == "auto" else config.token_dtype,
        **({"detector_sha256": UNKNOWN} if is_gdino else {}),
        "annotations_sha256": annotations_sha256,
        "config": {"imported_from": "track files of the published code"},
    }


def _weights_sha256(checkpoint: str | None) -> str:
    """SHA-256 of the tracker's weights, as it is given or of a file; or "unknown"."""
    if checkpoint == UNKNOWN or re.fullmatch("[0-9a-f]{64}", checkpoint or ""):
        return str(checkpoint)
    if checkpoint is None or not Path(checkpoint).is_file():
        raise UserError(
            f"tracker.checkpoint={checkpoint}: not found. Set it to the weights that made the "
            f"tracks: SAM 2's file, its SHA-256, or {UNKNOWN}."
        )
    return sha256_of_file(Path(checkpoint))


if __name__ == "__main__":
    main()
