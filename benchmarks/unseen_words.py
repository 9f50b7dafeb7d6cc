"""What a frozen text encoder knows of words that training lacks, without a selector.

    python benchmarks/unseen_words.py
    python benchmarks/unseen_words.py --encoder all_roberta_large_v1    # needs its weights

Each concept of moving_shapes (red, circle, rotating, ...) is the mean token of its synonyms in
a neutral sentence. An unseen word is right if the nearest concept of its group, by cosine, is its
own. Prints the share of right words per group, beside that of known words left out one at a time,
and what guessing would give.
"""

import argparse

import numpy as np

from sola.config import compose
from sola.datasets.moving_shapes import scene
from sola.datasets.moving_shapes.wording import SYNONYMS, UNSEEN
from sola.text import TextEncoder

GROUPS = {"colour": tuple(scene.COLOURS), "shape": scene.SHAPES, "motion": scene.MOTIONS}
SENTENCES = {"colour": "the {} thing", "shape": "the {}", "motion": "the thing that is {}"}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="unseen words under a frozen text encoder")
    parser.add_argument("--encoder", default="minilm", help="of conf/text_encoder")
    options = parser.parse_args()
    words = ["dataset=moving_shapes", f"text_encoder={options.encoder}", "paths.output_dir=outputs"]
    encoder = compose("train", words).text_encoder
    print("| words | unseen | known, left out | guessing |")
    print("|---|---|---|---|")
    for group, concepts in GROUPS.items():
        known = {concept: _vectors(encoder, group, SYNONYMS[concept]) for concept in concepts}
        unseen = {concept: _vectors(encoder, group, UNSEEN[concept]) for concept in concepts}
        means = {concept: vectors.mean(axis=0) for concept, vectors in known.items()}
        is_right = [
            _nearest(vector, means) == concept for concept in concepts for vector in unseen[concept]
        ]
        is_right_left_out = [
            _nearest(vector, means | {concept: np.delete(known[concept], number, 0).mean(axis=0)})
            == concept
            for concept in concepts
            for number, vector in enumerate(known[concept])
        ]
        cells = (np.mean(is_right), np.mean(is_right_left_out), 1 / len(concepts))
        print(f"| {group} |", " | ".join(f"{cell:.2f}" for cell in cells), "|")


def _vectors(encoder: TextEncoder, group: str, words: tuple[str, ...]) -> np.ndarray:
    """Return the mean tokens of words in the sentence of their group, normalised: (W, E)."""
    texts = [SENTENCES[group].format(word) for word in words]
    tokens = encoder.encode(texts)
    means = np.stack([tokens[text].mean(axis=0) for text in texts])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _nearest(vector: np.ndarray, means: dict[str, np.ndarray]) -> str:
    return max(means, key=lambda each: float(vector @ means[each] / np.linalg.norm(means[each])))


if __name__ == "__main__":
    main()
