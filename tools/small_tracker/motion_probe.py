"""Probe how much of an object's motion its tokens hold, with classifiers on gt tracks.

    python -m tools.small_tracker.motion_probe [DATA_ROOT]    # default: data

Needs gt tracks of the splits train and valid_u (``generate.py dataset=moving_shapes_large
prompt_source=gt split=...``). Two classifiers learn the 12 motions from the object tokens of
train's tracks, and are scored on valid_u's: a linear one on a few statistics, and a small
convolutional one with the strides of the selector's motion encoder. Also prints the spread of all
tokens, and that of a track's tokens around their own mean, averaged over channels.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sola.datasets.moving_shapes import scene
from sola.shards import ShardReader, tracks_dir
from tools.small_tracker.heads import sequence_statistics
from tools.small_tracker.probes import linear_probe_accuracy

STRIDES = (2, 2, 2, 1, 1)
WIDTH, EPOCHS, BATCH = 256, 12, 64


def main() -> None:
    """Fit and score both classifiers."""
    parser = argparse.ArgumentParser(description="motion in the tokens of true prompts' tracks")
    parser.add_argument("data_root", nargs="?", type=Path, default=Path("data"))
    root = parser.parse_args().data_root
    folders = [
        tracks_dir(root, "moving_shapes_large", s, "gt", "small") for s in ("train", "valid_u")
    ]
    if not all((folder / "index.json").is_file() for folder in folders):
        print(f"{folders[0]} and {folders[1]} are needed: make them with generate.py")
        return
    torch.set_num_threads(1)
    (tokens, motions), (held_out, true_motions) = (_read(folder) for folder in folders)
    around = tokens.std(dim=1).mean()
    print(f"{len(tokens)} tracks of train, {len(held_out)} of valid_u, {tokens.shape[1]} frames")
    print(f"spread of all tokens {tokens.std():.2f}, around a track's mean {around:.2f}")
    statistics = sequence_statistics(tokens), motions, sequence_statistics(held_out), true_motions
    print(f"linear, of statistics: {linear_probe_accuracy(*statistics):.3f}")
    named = _fit(tokens, motions)(held_out).argmax(dim=1)
    print(f"convolutional: {(named == true_motions).float().mean():.3f}")
    for number, name in enumerate(scene.MOTIONS):
        own = true_motions == number
        print(f"  {name} {(named[own] == number).float().mean():.2f} of {int(own.sum())}")


def _read(folder: Path) -> tuple[Tensor, Tensor]:
    """Read the object tokens (N, T, D) of all tracks, and their motions (N,)."""
    reader, tokens, motions, first_id = ShardReader(folder), [], [], 0
    settings = scene.SceneSettings()
    for video_id in reader.videos:
        rng = np.random.default_rng(int(video_id.split("_")[1]))  # a video is named by its seed
        scene._draw_background(rng, is_moving=settings.has_moving_background)
        objects = scene._draw_objects(rng, settings)
        tracks = reader.read(video_id)
        tokens.append(tracks.object_tokens)
        motions += [objects[int(p.object_id) - first_id].motion for p in tracks.prompts]
        first_id += len(objects)
    names = torch.tensor([scene.MOTIONS.index(motion) for motion in motions])
    return torch.from_numpy(np.concatenate(tokens)), names


class _Classifier(nn.Module):
    """Convolutions over a track's standardised tokens, mean over time, one logit per motion."""

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.mean, self.std = tokens.mean(dim=(0, 1)), tokens.std(dim=(0, 1)) + 1e-4
        widths = (tokens.shape[2], *[WIDTH] * len(STRIDES))
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv1d(wide_in, wide_out, 3, stride=stride, padding=1),
                    nn.GroupNorm(8, wide_out),
                    nn.LeakyReLU(),
                    nn.Dropout(0.2),
                )
                for wide_in, wide_out, stride in zip(widths[:-1], widths[1:], STRIDES, strict=True)
            )
        )
        self.output = nn.Linear(WIDTH, len(scene.MOTIONS))

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.blocks(((tokens - self.mean) / self.std).transpose(1, 2))
        logits: Tensor = self.output(hidden.mean(dim=2))
        return logits


def _fit(tokens: Tensor, motions: Tensor) -> nn.Module:
    torch.manual_seed(0)
    network = _Classifier(tokens)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)
    num_steps = EPOCHS * -(-len(tokens) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=num_steps)
    for _ in range(EPOCHS):
        for idx in torch.randperm(len(tokens)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(network(tokens[idx]), motions[idx]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


if __name__ == "__main__":
    main()
