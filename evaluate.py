"""Measure a selector, or the masks of any system. See: python evaluate.py --help."""

from sola.cli import run

if __name__ == "__main__":
    run("evaluate")
