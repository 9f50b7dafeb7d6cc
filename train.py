"""Train a selector on the tracks of a dataset. See: python train.py --help."""

from sola.cli import run

if __name__ == "__main__":
    run("train")
