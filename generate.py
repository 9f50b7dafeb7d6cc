"""Turn the videos of a split into tracks. See: python generate.py --help."""

from sola.cli import run

if __name__ == "__main__":
    run("generate")
