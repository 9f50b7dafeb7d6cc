"""Answer expressions of a split, or about a video. See: python predict.py --help."""

from sola.cli import run

if __name__ == "__main__":
    run("predict")
