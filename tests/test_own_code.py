"""Faults of a user's own code: what each of them ends in, in a copy of the program that holds it.

Of each kind of code there is one that is sound; a case replaces a piece of it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from sola.config.by_name import SHIPPED
from worked_example import ROOT, Answer, WorkedExample

pytestmark = pytest.mark.timeout(1200)  # several programs in turn, on a machine that others share
SIZES = [f"dataset.maker.{key}" for key in ("num_frames=4", "expressions_per_video=4")]
SMALL = ["dataset=moving_shapes", "dataset.maker.num_videos={train:2,valid_u:2}", *SIZES]
GENERATE = ["generate.py", *SMALL, "split=train"]
EVALUATE = ["evaluate.py", *SMALL, "ckpt_path=outputs/demo/best.ckpt"]
TRAIN = ["train.py", "experiment=demo", *SMALL[1:], "trainer.max_epochs=1", "logger=csv"]
MOST_LINES = 20
Case = tuple[str, str, str]
"""What is replaced, what by, and a piece of the message."""

SOURCE = """import numpy as np

from sola.prompts.base import PromptSource


class Blobs(PromptSource):
    def __init__(self, rule, *, levels: int = 2, sizes: list[float] | None = None, mark: str = ""):
        super().__init__(rule)
        self.levels = levels

    def find(self, video, frame_idxs, texts):
        mask = np.zeros(video.size, bool)
        return {"": [self.prompt(0, mask)]}
"""
MASK = "mask = np.zeros(video.size, bool)"
PROMPTS = "[self.prompt(0, mask)]"
SUPER = "super().__init__(rule)"
FIND = "def find(self, video, frame_idxs, texts):"
SOURCES: dict[str, Case] = {
    "bug": (MASK, "1 / 0", "FILE, line 12, in find (video VIDEO): ZeroDivisionError: division by"),
    "unpacking": (MASK, "a, b = [1]", "FILE, line 12, in find (video VIDEO): ValueError: not enou"),
    "shapes": (MASK, "np.ones(2) + np.ones(3)", "FILE, line 12, in find (video VIDEO): ValueErr"),
    "message": (MASK, 'raise ValueError("no blobs")', "no blobs"),
    "syntax": ("(PromptSource):", "(PromptSource)", "FILE, line 6: expected ':'"),
    "nowhere": ("numpy as np", "nowhere_at_all", "FILE, line 1: No module named 'nowhere_at_all'"),
    "module": ("import numpy as np", "1 / 0", "FILE, line 1, in <module>: ZeroDivisionError"),
    "texts": (
        FIND,
        "def find(self, video, frame_idxs):",
        "FILE: find takes other arguments (too many positional arguments); needed is find(self, "
        "video, frame_idxs, texts).",
    ),
    "find": (FIND, FIND.replace("find", "look"), "FILE: Blobs has no find, which is needed."),
    "frames_0": (
        FIND,
        f"def frame_idxs(self, video):\n        return 0\n\n    {FIND}",
        "FILE, video VIDEO: frame_idxs gave 0; needed is a list of whole numbers from 0 to 3.",
    ),
    "frames_99": (
        FIND,
        f"def frame_idxs(self, video):\n        return [99]\n\n    {FIND}",
        "FILE, video VIDEO: frame_idxs gave [99]; needed is a list of whole numbers from 0 to 3.",
    ),
    "super": (SUPER, "pass", "FILE: __init__ must call super().__init__(rule)."),
    "places": (
        "    def __init__",
        '    places = ("mark")\n\n    def __init__',
        'FILE: places must be a tuple, such as ("path",) with its comma.',
    ),
    "rule": ("(self, rule, *,", "(self, *, rule=0,", "FILE: __init__ takes no rule; needed is"),
    "array": (PROMPTS, "[mask]", "FILE, video VIDEO: find gave a list of ndarray; needed is"),
    "bare_array": (PROMPTS, "mask", "FILE, video VIDEO: find gave a ndarray; needed is, by text"),
    "one": (PROMPTS, PROMPTS.strip("[]"), "FILE, video VIDEO: find gave a Prompt; needed is, by"),
    "keep": (
        FIND,
        f"def keep(self, found):\n        return found\n\n    {FIND}",
        "FILE, video VIDEO: keep gave a tuple; needed is what super().keep(...) gives.",
    ),
    "tracks": (
        FIND,
        f"def num_tracks(self, expressions):\n        pass\n\n    {FIND}",
        "FILE, video VIDEO: num_tracks gave None; needed is a number.",
    ),
    "digests": (
        FIND,
        f"def digests(self):\n        pass\n\n    {FIND}",
        "FILE: digests gave a NoneType; needed is a dict of SHA-256 by name.",
    ),
    "not_a_number": (
        MASK,
        "mask = np.full(video.size, np.nan)",
        "FILE: a mask on frame 0 holds NaN",
    ),
    "text": (
        MASK,
        "mask = np.full(video.size, 'a')",
        "FILE: a mask of dtype <U1; needed is bool, or numbers.",
    ),
}
OPTIONS = {
    "levels=four": "prompt_source.options.levels is 'four': blobs takes a whole number.",
    "levels=4.5": "prompt_source.options.levels is 4.5: blobs takes a whole number.",
    "levels=true": "prompt_source.options.levels is True: blobs takes a whole number.",
    "levels=null": "prompt_source.options.levels is None: blobs takes a whole number.",
    "sizes=3": "prompt_source.options.sizes is 3: blobs takes a list of numbers or null.",
    "sizes=[1,a]": "prompt_source.options.sizes is [1, 'a']: blobs takes a list of numbers or nu",
    "mark=3": "prompt_source.options.mark is 3: blobs takes a text.",
    "levls=3": "prompt_source.options.levls: blobs does not take it",
}

METRIC = '''def measure(preds, target):
    """Half."""
    return 0.5
'''
METRICS: dict[str, Case] = {
    "m_bug": ("return 0.5", "return 1 / 0", "FILE, line 3, in measure (expression "),
    "m_unpacking": ("return 0.5", "a, b = [1]", "FILE, line 3, in measure (expression "),
    "m_syntax": ("target):", "target)", "FILE, line 1: expected ':'"),
    "m_nowhere": ("def", "import nowhere_at_all\n\n\ndef", "FILE, line 1: No module named 'nowher"),
    "m_one": ("preds, target", "preds", "FILE: measure takes other arguments (too many positional"),
    "m_three": ("preds, target", "preds, target, size", "(missing a required argument: 'size');"),
    "m_text": ("return 0.5", 'return "0.5"', "metrics: m_text gives '0.5' for expression"),
    "m_nan": ("return 0.5", 'return float("nan")', "metrics: m_nan gives nan for expression"),
}

SELECTOR = """import torch
from torch import nn

from sola.selector.base import Selector


class Mean(Selector):
    def __init__(self, token_dim: int, text_dim: int, *, scale: float = 1.0):
        super().__init__()
        self.projection = nn.Linear(token_dim, text_dim)

    def forward(
        self, tokens, text, track_mask=None, frame_mask=None, text_mask=None, *, video_idx=None
    ):
        tracks = self.projection(tokens.mean(dim=2))
        if video_idx is not None:
            tracks = tracks[video_idx]
        tracks = tracks.expand(len(text), -1, -1)
        return (tracks * text.mean(dim=1)[:, None]).sum(dim=2), tracks
"""
SUM = "(tracks * text.mean(dim=1)[:, None]).sum(dim=2)"
SELECTORS: dict[str, Case] = {
    "s_bug": (
        "tracks = tracks.expand",
        "1 / 0\n        tracks.expand",
        "FILE, line 18, in forward: ",
    ),
    "s_shapes": ("text.mean(dim=1)[:, None]", "torch.ones(7)", "FILE, line 19, in forward: Runtim"),
    "s_logits": (SUM, f"{SUM}[:, :1]", "FILE: forward gave tensors of the shapes ("),
    "s_one": (f"{SUM}, tracks", SUM, "FILE: forward gave a Tensor; needed are two tensors, logits"),
    "s_mask": ("text_mask=None", "mask=None", "FILE: forward takes other arguments (got an unexpe"),
    "s_super": ("super().__init__()", "pass", "FILE, line 10, in __init__: AttributeError: cannot"),
    "s_forward": ("def forward", "def forwards", "FILE: Mean has no forward, which is needed."),
}


READ = 'read_json(path, "Write it again.")["expressions"]'
DATASETS: dict[str, Case] = {
    "d_bug": (READ, "[1 / 0]", "FILE, line 39, in expressions: ZeroDivisionError: divis"),
    "d_unpacking": (
        "self.name, self.split,",
        "a, b = [1]\n        self.name, self.split,",
        "FILE, ",
    ),
    "d_message": (READ, "read_json(path.parent, 'no')", "Is a directory"),
    "d_masks": (
        "maps = np.stack",
        "maps = self.maps or np.stack",
        "in ground_truth (video shapes_",
    ),
    "d_init": (
        "root: Path, split: str, name: str",
        "root: Path, split: str",
        "FILE: __init__ takes",
    ),
    "d_unset": (
        "self.name, self.split,",
        "self.names, self.split,",
        "FILE: __init__ must set name of",
    ),
    "d_property": (
        "@cached_property\n    def videos",
        "def videos",
        "FILE: videos is a method; write",
    ),
    "d_lacking": ("def ground_truth", "def truth", "FILE: Folders has no ground_truth, which is"),
    "d_video": ("(self, video_id: str)", "(self)", "FILE: ground_truth takes other arguments ("),
}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> WorkedExample:
    """A copy of the program with a trained selector."""
    made = WorkedExample("adding_a_metric.md", tmp_path_factory.mktemp("own") / "program")
    generate = [
        ["generate.py", *SMALL, "split=train", "prompt_source=gt"],
        ["generate.py", *SMALL, "split=train", "prompt_source=grid"],
        ["generate.py", *SMALL, "split=valid_u", "prompt_source=grid"],
    ]
    answers = made.run([*generate, [*TRAIN, "hydra.run.dir=outputs/demo"]])
    assert {answer.status for answer in answers} == {0}, [answer.errors for answer in answers]
    return made


def add(example: WorkedExample, kind: str, name: str, code: str, conf: str = "") -> None:
    """Two files of a user's own."""
    folder = {"prompt_source": "prompts", "selector": "selector", "metric": "metrics"}[kind]
    (example.folder / "sola" / folder / f"{name}.py").write_text(code)
    if conf:
        (example.folder / "conf" / kind / f"{name}.yaml").write_text(conf)


def add_dataset(folder: Path, name: str, code: str) -> None:
    (folder / "sola" / "datasets" / f"{name}.py").write_text(code)
    conf = (folder / "conf" / "dataset" / "folders.yaml").read_text()
    (folder / "conf" / "dataset" / f"{name}.yaml").write_text(
        conf.replace("layout: folders", f"layout: {name}")
    )


def replaced(code: str, case: Case) -> str:
    assert code.count(case[0]) >= 1, case
    return code.replace(case[0], case[1], 1)


def check(cases: Mapping[str, Case], folder: str, answers: Sequence[Answer], video: str) -> None:
    """Each answer is one short message, with the piece of it that is wanted."""
    others = []
    for (name, case), answer in zip(cases.items(), answers, strict=True):
        wanted = case[2].replace("FILE", f"{folder}/{name}.py").replace("VIDEO", video)
        message = refused(answer)
        others += [] if wanted in message else [f"{name}: {message}needed is {wanted}"]
    assert not others, "\n\n".join(others)


def refused(answer: Answer) -> str:
    assert answer.status == 1, answer
    assert "Traceback" not in answer.errors, answer.errors
    message = answer.errors.partition("error: ")[2]
    assert 0 < message.count("\n") <= MOST_LINES, answer.errors
    return message


def test_what_is_shipped_is_no_own_code() -> None:
    for group, package in (("prompt_source", "prompts"), ("selector", "selector")):
        files = [OmegaConf.load(path) for path in (ROOT / "conf" / group).glob("*.yaml")]
        names = {f"sola.{package}.{file.name}" for file in files if "name" in file}
        assert names <= set(SHIPPED)


def test_a_source_that_is_broken_is_told_with_its_file(example: WorkedExample) -> None:
    for name, case in SOURCES.items():
        conf = f"defaults: [gt, _self_]\nname: {name}\n"
        add(example, "prompt_source", name, replaced(SOURCE, case), conf)
    answers = example.run([[*GENERATE, f"prompt_source={name}"] for name in SOURCES])
    index = example.folder / "data/tracks/moving_shapes/train/gt/small/index.json"
    first, _ = json.loads(index.read_text())["entries"]
    check(SOURCES, "sola/prompts", answers, first)


def test_options_are_what_their_annotations_say(example: WorkedExample) -> None:
    conf = "defaults: [gt, _self_]\nname: blobs\noptions: {levels: 2, sizes: null, mark: ''}\n"
    add(example, "prompt_source", "blobs", SOURCE, conf)
    sound, *answers = example.run(
        [
            [*GENERATE, "prompt_source=blobs", *(f"++prompt_source.options.{o}" for o in options)]
            for options in (("sizes=[1,2.5]", "mark=a"), *([each] for each in OPTIONS))
        ]
    )
    assert sound.status == 0, sound.errors
    for (option, wanted), answer in zip(OPTIONS.items(), answers, strict=True):
        assert wanted in refused(answer), option


def test_a_metric_that_is_broken_is_told_with_its_file(example: WorkedExample) -> None:
    for name, case in METRICS.items():
        add(example, "metric", name, replaced(METRIC, case))
    add(example, "metric", "m_nodoc", METRIC.replace('    """Half."""\n', ""))
    sound, twice, in_workers, bug_in_workers, *answers = example.run(
        [
            [*EVALUATE, "metrics=[m_nodoc]"],
            [*EVALUATE, "metrics=[m_nodoc,m_nodoc]"],
            [*EVALUATE, "metrics=[m_nan]", "num_workers=1"],
            [*EVALUATE, "metrics=[m_bug]", "num_workers=1"],
            *([*EVALUATE, f"metrics=[{name}]"] for name in METRICS),
        ]
    )
    assert sound.status == 0, sound.errors
    assert "m_nodoc\n" in sound.output
    assert "metrics is ['m_nodoc', 'm_nodoc']: a metric is named twice." in refused(twice)
    assert "metrics: m_nan gives nan for expression" in refused(in_workers)
    assert "sola/metrics/m_bug.py, line 3, in measure (expression" in refused(bug_in_workers)
    check(METRICS, "sola/metrics", answers, "")


def test_a_selector_that_is_broken_is_told_with_its_file(example: WorkedExample) -> None:
    for name, case in {**SELECTORS, "mean": ("", "", "")}.items():
        conf = f"name: {name}\ntoken_dim: ${{tracker.token_dim}}\ntext_dim: ${{text_encoder.dim}}\n"
        add(example, "selector", name, replaced(SELECTOR, case), conf + "options: {scale: 1}\n")
    sound, option, *answers = example.run(
        [
            [*TRAIN, "selector=mean"],
            [*TRAIN, "selector=mean", "selector.options.scale=big", "data_root=nowhere"],
            *([*TRAIN, f"selector={name}"] for name in SELECTORS),
        ]
    )
    assert sound.status == 0, sound.errors
    assert "selector.options.scale is 'big': mean takes a number." in refused(option)
    check(SELECTORS, "sola/selector", answers, "")


def test_a_data_set_that_is_broken_is_told_with_its_file(tmp_path: Path) -> None:
    example = WorkedExample("adding_a_dataset.md", tmp_path / "program")
    code = (example.folder / "sola" / "datasets" / "folders.py").read_text()
    for name, case in DATASETS.items():
        add_dataset(example.folder, name, replaced(code, case))
    (written,) = example.run([[*example.commands[0], *SMALL[1:]]])
    assert written.status == 0, written.errors
    generate = ["generate.py", "split=train", "prompt_source=gt", "tracker=small"]
    check_bug, *answers = example.run(
        [
            ["sola.datasets", "dataset=d_unpacking"],
            *([*generate, f"dataset={name}"] for name in DATASETS),
        ]
    )
    assert "sola/datasets/d_unpacking.py, line 19, in __init__" in refused(check_bug)
    check(DATASETS, "sola/datasets", answers, "")
