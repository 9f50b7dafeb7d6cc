"""The first name is there only when everything is, and goes before anything else does."""

from pathlib import Path

import pytest

from sola.files import whole_results

NAMES = ("record.json", "masks")


def make_results(folder: Path, content: str) -> None:
    (folder / "masks").mkdir()
    (folder / "masks" / "0.png").write_text(content)
    (folder / "record.json").write_text(content)


def test_results_take_the_place_of_earlier_ones(tmp_path: Path) -> None:
    make_results(tmp_path, "old")
    (tmp_path / "scores.json").write_text("another's")

    with whole_results(tmp_path, NAMES) as unfinished:
        assert {path.name for path in tmp_path.iterdir()} == {"scores.json", unfinished.name}
        make_results(unfinished, "new")

    assert {path.name for path in tmp_path.iterdir()} == {"scores.json", *NAMES}
    assert (tmp_path / "masks" / "0.png").read_text() == "new"


@pytest.mark.parametrize("num_renames", [0, 1])
def test_kill_between_two_renames_leaves_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_renames: int
) -> None:
    rename, done = Path.rename, []

    def rename_until_killed(self: Path, target: Path) -> Path:
        if len(done) == num_renames:
            raise KeyboardInterrupt
        done.append(self)
        return rename(self, target)

    def write_until_killed() -> None:
        with whole_results(tmp_path, NAMES) as unfinished:
            make_results(unfinished, "new")
            monkeypatch.setattr(Path, "rename", rename_until_killed)

    with pytest.raises(KeyboardInterrupt):
        write_until_killed()
    monkeypatch.undo()
    assert not (tmp_path / "record.json").exists()

    with whole_results(tmp_path, NAMES) as unfinished:
        assert list(unfinished.iterdir()) == []


def test_record_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_results(tmp_path, "old")
    rename, order = Path.rename, []

    def note(self: Path, target: Path) -> Path:
        order.append(self.name)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", note)
    with whole_results(tmp_path, NAMES):
        pass

    assert order == list(NAMES)
