"""An epoch_N.pth of the published code as checkpoint of evaluate.py and predict.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawn_split as drawn
import numpy as np
import pytest
import torch
from published_tree import write_tree
from reference_weights import reference_state_dict

from sola.config.entry_points import EvaluateConfig, PredictConfig
from sola.errors import UserError
from sola.evaluation import run as evaluation_run
from sola.evaluation.run import run_evaluation
from sola.evaluation.scorers import score_tracks
from sola.prediction.run import run_predict
from sola.selector import TrackSelector


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_run, "TextTokens", drawn.LetterTokens)


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, command: Callable[..., int]) -> Path:
    """Tracks of the width of the weights, as the published code has only networks of 8 groups."""
    tracks = {"v1": {0: drawn.LARGE, 5: drawn.SMALL}, "v2": {}}
    tree = tmp_path / "tree/grid_tracks/drawn/valid_u"
    write_tree(tree, tracks, token_dim=16)
    values = ["prompt_source=grid", "tracker.checkpoint=unknown", "tracker.token_dim=16"]
    command("import", str(tmp_path / "tree"), *values)
    return tree


def make_config(schema: type[EvaluateConfig] | type[PredictConfig], folder: Path) -> Any:
    ckpt_path = str(folder / "epoch_3.pth")
    config = drawn.make_config(schema, folder, ckpt_path=ckpt_path, text_dim=32)
    config.tracker.name = "theirs"
    return config


def write_weights(path: Path, token_dim: int = 16, text_dim: int = 32) -> TrackSelector:
    torch.manual_seed(1)
    selector = TrackSelector(
        token_dim=token_dim, text_dim=text_dim, num_layers=2, num_negatives=3
    ).eval()
    names = reference_state_dict(selector)
    torch.save({f"module.{name}": tensor for name, tensor in names.items()}, path)
    return selector


@pytest.mark.parametrize("schema", [EvaluateConfig, PredictConfig])
def test_it_scores_as_the_network_that_it_was_written_from(
    tmp_path: Path, tree: Path, schema: type[EvaluateConfig] | type[PredictConfig]
) -> None:
    selector = write_weights(tmp_path / "epoch_3.pth")
    config = make_config(schema, tmp_path)

    (run_evaluation if schema is EvaluateConfig else run_predict)(config)

    scores = json.loads((Path(config.paths.output_dir) / "scores.json").read_text())
    paths = sorted((tree / "sam2_object_tokens/v1").iterdir())
    tokens = np.stack([np.load(path) for path in paths])
    texts = drawn.LetterTokens(tmp_path, config.text_encoder).tokens(["the small one"])
    found = scores["videos"]["v1"]["expressions"]["0"]["scores"]["0"]
    np.testing.assert_allclose(found, score_tracks(selector, tokens, texts)[0], rtol=1e-5)
    assert abs(found[0] - found[1]) > 1e-3
    training = scores["provenance"]["checkpoint"]["training"]
    assert training["format"] == "reference"
    assert (training["selector"]["token_dim"], training["selector"]["num_layers"]) == (16, 2)


def test_published_tracks_and_published_weights_are_evaluated_together(
    tmp_path: Path,
) -> None:
    write_weights(tmp_path / "epoch_3.pth")

    evaluation = run_evaluation(make_config(EvaluateConfig, tmp_path))[1]

    assert evaluation["tracks"][0]["checkpoint_sha256"] == "unknown"
    assert evaluation["num_tracks"] == 2
    assert evaluation["expressions"][0]["answers"]["oracle"]["tracks"] == [1]


@pytest.mark.parametrize(
    ("token_dim", "text_dim", "message"),
    [
        (8, 32, r"epoch_3.pth: .*token_dim=8, .*theirs has token_dim=16"),
        (16, 16, r"epoch_3.pth: .*text_dim=16, .*=letters has text_dim=32"),
    ],
)
def test_widths_that_do_not_fit_are_one_clear_message(
    tmp_path: Path, token_dim: int, text_dim: int, message: str
) -> None:
    write_weights(tmp_path / "epoch_3.pth", token_dim, text_dim)
    for schema, run in ((EvaluateConfig, run_evaluation), (PredictConfig, run_predict)):
        with pytest.raises(UserError, match=message):
            run(make_config(schema, tmp_path))


def test_weights_with_inconsistent_widths_are_named(tmp_path: Path) -> None:
    write_weights(tmp_path / "epoch_3.pth")
    weights = torch.load(tmp_path / "epoch_3.pth", weights_only=True)
    name = "module.object_lang_align_layers.0.obj_attn.q_proj.weight"
    weights[name] = weights[name][:, :4].clone()
    torch.save(weights, tmp_path / "epoch_3.pth")

    message = r"epoch_3.pth: .* layers.0.track_attention.query.weight: .*\[32, 4\]"
    with pytest.raises(UserError, match=message):
        run_evaluation(make_config(EvaluateConfig, tmp_path))
