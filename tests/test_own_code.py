"""Mistakes in a user's own class and in the file that names it."""

from pathlib import Path

import pytest
from worked_example import Answer, WorkedExample

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CODE = """
from sola.errors import UserError
from sola.selector.losses import Loss


class Mine(Loss):
    def __init__(self, scale: float, margin: float = 0.5) -> None:
        if scale < 0:
            raise UserError(f"scale: must be at least 0, got {scale}.")
        if scale == 0:
            raise ValueError("a bug")
        self.weights = {"mine": scale}

    def __call__(self, outputs, inputs):
        raise NotImplementedError

"""
SOURCE = """
from sola.errors import UserError
from sola.prompts import PromptSource


class Mine(PromptSource):
    def check(self) -> None:
        raise UserError("boxes.json: not found. Run my_detector.py.")

    def find(self, video, frame_idxs, texts):
        raise NotImplementedError
"""
TRAIN = ["sola", "train", "--config-dir", "my_conf", "logger=csv", "loss=mine"]
REFUSED = {
    "loss.margn=1": "loss.margn: unknown key. Did you mean loss.margin?",
    "+loss.scael=1": "loss.scael: unknown key. Did you mean loss.scale?",
    "~loss.scale": "loss.scale: required",
    "loss.scale=big": "loss.scale: ",
    "loss.scale=-1": "loss.scale: must be at least 0, got -1.",
    "loss._target_=my_code.mine.Mien": "loss._target_: my_code.mine.Mien not found. Did you mean",
    "loss._target_=my_code.main.Mine": "loss._target_: my_code.main.Mine not found (no module my_c",
    "loss._target_=yours.Mine": "loss._target_: yours.Mine not found (no module yours)",
    "loss=mein": "loss=mein: not found. Did you mean loss=mine?",
}
"""Override -> start of the message."""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> WorkedExample:
    """A class of the user's and the file that names it."""
    made = WorkedExample(tmp_path_factory.mktemp("user"))
    made.write("my_code/mine.py", CODE)
    made.write("my_conf/loss/mine.yaml", "_target_: my_code.mine.Mine\nscale: 1.0\nmargin: 0.5\n")
    made.write("my_code/imports.py", "import nowhere_at_all\n")
    return made


@pytest.fixture(scope="module")
def answers(example: WorkedExample) -> list[Answer]:
    """What each of ``REFUSED`` is answered with."""
    return example.run([[*TRAIN, override] for override in REFUSED])


def test_mistake_in_an_argument_is_refused_before_data_is_read(
    example: WorkedExample, answers: list[Answer]
) -> None:
    for (override, start), answer in zip(REFUSED.items(), answers, strict=True):
        assert answer.status == 1, override
        assert answer.errors.startswith(f"error: {start}"), f"{override}: {answer.errors}"
        assert answer.errors.count("\n") == 1
    assert not (example.folder / "data").exists()


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("loss.scale=0", "ValueError: a bug"),
        ("loss._target_=my_code.imports.Mine", "ModuleNotFoundError: No module named 'nowhere_at"),
    ],
)
def test_bug_in_own_code_keeps_its_traceback(
    example: WorkedExample, override: str, error: str
) -> None:
    answer = example.run_alone(*TRAIN[1:], override)

    assert answer.status == 1
    assert "Traceback" in answer.errors
    assert str(Path("my_code")) in answer.errors
    assert answer.errors.splitlines()[-1].startswith(error)


def test_invalid_yaml_is_one_message(example: WorkedExample) -> None:
    example.write("my_conf/loss/broken.yaml", "scale: [\nmargin: 1\n")

    (answer,) = example.run([[*TRAIN[:-1], "loss=broken"]])

    assert answer.status == 1
    assert answer.errors.startswith("error: ")
    assert "my_conf/loss/broken.yaml, line " in answer.errors


def test_user_error_of_own_code_is_one_message(example: WorkedExample) -> None:
    example.write("my_code/source.py", SOURCE)
    example.write("my_conf/prompt_source/mine.yaml", "_target_: my_code.source.Mine\nname: mine\n")
    generate = ["sola", "generate", "--config-dir", "my_conf", "split=train", "prompt_source=mine"]

    (answer,) = example.run([generate])

    assert answer.status == 1
    assert answer.errors.splitlines()[-1] == "error: boxes.json: not found. Run my_detector.py."
    assert "Traceback" not in answer.errors
