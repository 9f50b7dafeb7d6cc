"""The commands that the documentation shows, and a world in which they run.

Real data sets and published weights are not available to tests, so each has a stand-in; apart from
that the commands are those of the pages (``stand_in``).
"""

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import clip_files
import cv2
import dataset_trees as trees
import torch
from published_tree import write_tree
from reference_weights import reference_state_dict
from small_detector import GDINO
from sound_world import hide_ground_truth

from sola.config import compose
from sola.datasets import MeViS
from sola.selector import TrackSelector

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("*.md"), ROOT / "data/README.md"])
PROGRAM = r"(?:(?:generate|train|evaluate|predict)\.py )"
COMMAND = r"(?:sola (?:generate|train|evaluate|predict) )"
CHECK = r"(?:sola (?:check|download) )"
SHOWN = re.compile(
    rf"^ *(?:\$ )?(?:\.venv/bin/)?(?:python (?=(?:{PROGRAM}|-m sola\.))|(?={COMMAND}|{CHECK}))(.+)$"
    rf"|`(?:python (?={PROGRAM})|(?={COMMAND}))([^`]+)`"
)
"""A line of a block, or a command within a line."""
PRINTED_BY_TESTS = "broken_input.md"
"""Its commands are expected to fail; tests/broken_input.py ran them and wrote the page."""


def commands_of(page: Path) -> Iterator[list[str]]:
    """The words of every command, without "python"; "\\" joins lines, "&" separates them.

    ``sola train`` is train.py, ``sola check`` and ``sola download`` are the module ``sola.cli``.
    """
    if page.name == PRINTED_BY_TESTS:
        return
    for line in re.split(r"\n| & ", re.sub(r"\\\n\s*", " ", page.read_text())):
        for match in SHOWN.finditer(line):
            words = shlex.split((match[1] or match[2]).removesuffix(" &"), comments=True)
            if words[0] == "sola":
                is_module = words[1] in ("check", "download")
                words = ["-m", "sola.cli", *words[1:]] if is_module else _as_script(words[1:])
            yield words


def _as_script(words: list[str]) -> list[str]:
    return [f"{words[0]}.py", *words[1:]]


STAND_INS = {
    "ckpt_path=...": ["ckpt_path=outputs/mine/best.ckpt"],
    "...": ["dataset=mevis", "split=train", "prompt_source=grid"],
    "RUN_A": ["outputs/other/evaluation"],
    "RUN_B": ["outputs/evaluated"],
    "<tree>": ["published_tree"],
    "trainer=ddp": ["trainer.strategy=ddp", "trainer.accelerator=cpu"],
    "trainer.devices=8": ["trainer.devices=2"],
    "tracker.compile=true": [],  # minutes on a CPU
}
NO_WEIGHTS = re.compile(r"tracker=(sam2\S+)")
NOT_HERE = re.compile(r"trainer\.max_epochs=|hydra[./](?:launcher|sweeper)|[^=]+=.*interval\(")
"""More epochs than one; launchers and sweepers that are not installed, and their values."""
SMALL_VIDEOS = ("dataset.maker.num_frames=6", "dataset.maker.expressions_per_video=4")
FEW_VIDEOS = "dataset.maker.num_videos={train:2,valid_u:2}"
SMALL_DETECTOR = [word for word in GDINO if not word.startswith("dataset.")]
REAL = ("dataset=mevis", "dataset=ref", "experiment=mevis")
LEFT_OUT = {
    "trainer.num_nodes=2",  # two nodes have to start at once: see the tests marked devices
    "--config-dir",  # a folder of the user's own: see test_worked_examples.py
}
"""Commands with one of these words are not run."""


def stand_in(words: list[str]) -> list[str]:
    """A command of a page as it can run here.

    Small videos replace the real ones, the small tracker replaces SAM 2's published sizes, MiniLM
    replaces RoBERTa, random weights replace GroundingDINO's, two processes on the CPU replace 8
    GPUs, one epoch replaces many, Hydra's own launcher and sweeper replace others.
    """
    program, *values = words
    done = [each for word in values for each in STAND_INS.get(word, [word])]
    done = [word for word in done if not NOT_HERE.match(word)]
    if program == "train.py":
        done.append("trainer.max_epochs=1")
    if done[:2] == ["sola.cli", "download"]:
        detector = SMALL_DETECTOR if "prompt_source=gdino" in done else []
        kept = [word for word in done if not NO_WEIGHTS.fullmatch(word)]
        return [program, *kept, "tracker=small", "text_encoder=minilm", *detector]
    if program == "-m":
        return [program, *(_with_small_tracker(done) if "dataset=mevis" in done else done)]
    is_clip = any(word.startswith("video=") for word in done)
    if is_clip and not any(word.startswith("dataset=") for word in done):
        if "ckpt_path=outputs/demo/best.ckpt" in done:
            return [program, *done]
        own = [word.replace("prompt_source.", "prompt_sources.gdino.") for word in SMALL_DETECTOR]
        return [program, *_with_small_tracker(done), "text_encoder=minilm", *own]
    if not any(word.startswith(REAL) for word in done):
        return [program, *done, *SMALL_VIDEOS, FEW_VIDEOS]
    has_folder = any(word.startswith("hydra.run.dir=") for word in done)
    if program == "train.py" and "-m" not in done and not has_folder:
        done.append("hydra.run.dir=outputs/mine")  # where the pages say that the checkpoint lies
    if program != "generate.py":
        done.append("text_encoder=minilm")
    if "prompt_source=gdino" in done:
        done += SMALL_DETECTOR
    return [program, *_with_small_tracker(done)]


def _with_small_tracker(words: list[str]) -> list[str]:
    """The small tracker, under the name of the tracker that the command uses."""
    asked = [match[1] for word in words if (match := NO_WEIGHTS.fullmatch(word))]
    kept = [word for word in words if not NO_WEIGHTS.fullmatch(word)]
    is_named = any(word.startswith("tracker.name=") for word in kept)
    name = [] if is_named else [f"tracker.name={(asked or ['sam2.1_hiera_large'])[0]}"]
    return [*kept, "tracker=small", *name]


def copy_program(folder: Path) -> None:
    """The package, its configuration and the entry points, into a new folder."""
    for name in ("sola", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*.py"), ROOT / "tests" / "commands.py"):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)


def write_world(folder: Path) -> None:
    """The program, data sets, a clip and published weights, where the commands expect them.

    Args:
        folder: is made.
    """
    copy_program(folder)
    config = compose("generate", ["split=train", "paths.output_dir=.", *SMALL_VIDEOS])
    seeds = {"train": 100, "valid_u": 200, "valid": 300}
    maker = replace(config.dataset.maker, num_videos=dict.fromkeys(seeds, 3), first_seed=seeds)
    for split in seeds:
        maker.write(folder / "data/mevis", split)
    hide_ground_truth(folder / "data/mevis/valid")
    mevis = MeViS(folder / "data/mevis", "train")
    masklets = {name: dict(enumerate(mevis.ground_truth(name).values())) for name in mevis.videos}
    tree = folder / "published_tree/gt_tracks/mevis/train"
    write_tree(tree, masklets, token_dim=config.tracker.token_dim)
    trees.write_ref_youtube_vos(folder / "data/ref-youtube-vos", "valid", has_objects=False)
    trees.write_ref_davis(folder / "data/ref-davis")
    images = sorted((folder / "data/mevis/valid/JPEGImages").glob("*/*.jpg"))[:6]
    for root in ("ref-youtube-vos", "ref-davis"):  # of grey frames, nothing could be tracked
        for number, frame in enumerate(sorted((folder / "data" / root).rglob("*.jpg"))):
            shutil.copy(images[number % len(images)], frame)
    clip_files.write_video(
        folder / "clip.mp4", [cv2.imread(str(path))[..., ::-1] for path in images]
    )
    torch.manual_seed(0)
    torch.save(
        reference_state_dict(TrackSelector(token_dim=128, text_dim=384)), folder / "epoch_14.pth"
    )
