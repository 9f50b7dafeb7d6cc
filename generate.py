"""Turns the videos of a split into tracks.

python generate.py --help
"""

from sola.config import main
from sola.config.schema import GenerateConfig


def task(config: GenerateConfig) -> None:
    """Imports what is heavy only now, after the configuration is known to be right."""
    from sola.generation.run import run_generation

    run_generation(config)


if __name__ == "__main__":
    main("generate", GenerateConfig, task)
