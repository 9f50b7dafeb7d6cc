"""The tables of docs/results.md, from the figures that results.py and cost.py write.

    python benchmarks/tables.py                        # from docs/results.json
    python benchmarks/tables.py outputs/results.json   # from your own runs

Figures are J&F in percent for each seed. Tables show the mean and, in brackets, the standard
deviation over the seeds.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMMITTED = Path(__file__).parent.parent / "docs" / "results.json"
PATH = Path("outputs/results.json")
HEADLINE = "word_match"
"""The selector whose figures docs/results.md shows in full."""
BARS = {"tune": 0.90, "valid_u": 0.93}
"""Of the selection's share of the oracle."""
WORDING_BARS = {"new_frames": 0.9, "unseen_words": 0.75}
"""Of the share of valid_u's J&F that remains in another wording."""
RELATIONS, BASELINE = "relations_", "relations_baseline"
RELATIONS_BAR = 15
"""Points of J&F on valid_u above the baseline, for sentences about relations."""
WORDINGS = {"unchanged": "", "new frames": ", new_frames", "unseen words": ", unseen_words"}
"""Column of the table of wordings -> ending of its kinds."""
ANSWERS = ("selection", "oracle", "best_track", "selection_where_other_text", "other_text")
ALL = "all"

Row = dict[str, Any]
"""Figures of one kind of expressions: number of expressions, and J&F by answer and seed."""
Selector = dict[str, Any]
"""Figures of one selector; see ``results.py``."""


def read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of selectors, and of their cost."""
    return json.loads(path.read_text()) if path.is_file() else {"selectors": {}, "cost": {}}


def update(part: str, name: str, figures: dict[str, Any], path: Path) -> None:
    """Write the figures of one selector, or of its cost."""
    found = read(path)
    found[part][name] = figures
    path.write_text(json.dumps(found, indent=1) + "\n")


def figure(values: Sequence[float]) -> str:
    """Return the mean, with the standard deviation in brackets for several values that differ."""
    has_spread = len(set(values)) > 1
    return f"{mean(values)} ({statistics.stdev(values):.1f})" if has_spread else mean(values)


def mean(values: Sequence[float]) -> str:
    """Return the mean with one digit."""
    return f"{statistics.mean(values):.1f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def answers_table(selector: Selector, split: str) -> str:
    """Return J&F by kind of expression: selection, oracle, and under another text."""
    kinds = selector["splits"][split]
    names = ("selection", "oracle", "selection_where_other_text", "other_text")
    head = ("expressions", "number", *names[:2], "selection, with other text available")
    rows = [
        (kind, str(row["number"]), *(figure(row[name]) if name in row else "-" for name in names))
        for kind, row in kinds.items()
    ]
    return table((*head, "other text"), rows)


def wordings_table(selector: Selector) -> str:
    """Return J&F of the selection on split paraphrase by kind and wording, and of the oracle."""
    kinds = [kind for kind in selector["splits"]["valid_u"] if kind != ALL]
    rows = []
    for label, of_row in ((ALL, kinds), *((kind, [kind]) for kind in kinds)):
        cells = [figure(_mean_of(selector, of_row, end)) for end in WORDINGS.values()]
        number = sum(selector["splits"]["paraphrase"][kind]["number"] for kind in of_row)
        oracle = figure(_mean_of(selector, of_row, "", "oracle"))
        rows.append((label, str(number), *cells, oracle))
    return table(("expressions", "number", *WORDINGS, "oracle"), rows)


def recipes_table(selectors: dict[str, Selector]) -> str:
    """Return a row for each selector: J&F on tune and valid_u, and on valid_u by kind."""
    first = next(iter(selectors.values()))
    kinds = [kind for kind in first["splits"]["valid_u"] if kind != ALL]
    rows = [
        (
            name.removeprefix(RELATIONS),
            str(len(selector["seeds"])),
            figure(_all(selector, "tune")),
            *(figure(selector["splits"]["valid_u"][kind]["selection"]) for kind in (ALL, *kinds)),
        )
        for name, selector in selectors.items()
    ]
    oracle = [figure(_all(first, "tune", "oracle"))]
    of_kinds = first["splits"]["valid_u"]
    oracle += [figure(of_kinds[kind]["oracle"]) for kind in (ALL, *kinds)]
    rows.append(("oracle", "", *oracle))
    return table(("recipe", "seeds", "tune", "valid_u", *kinds), rows)


def ratios(name: str, selector: Selector, baseline: Selector | None) -> list[str]:
    """Return the figures that have a bar, a line each."""
    if name.startswith(RELATIONS):
        if baseline is None or name == BASELINE:
            return []
        points = statistics.mean(_all(selector, "valid_u")) - statistics.mean(
            _all(baseline, "valid_u")
        )
        return [f"points {name}_above_baseline {points:.1f} bar {RELATIONS_BAR}"]
    lines = []
    for split, bar in BARS.items():
        ratio = _mean_ratio(_all(selector, split), _all(selector, split, "oracle"))
        lines.append(f"ratio {name}_{split}_over_oracle {ratio:.3f} bar {bar:.3f}")
    kinds = [kind for kind in selector["splits"]["valid_u"] if kind != ALL]
    for wording, bar in WORDING_BARS.items():
        of_wording = _mean_of(selector, kinds, f", {wording}")
        ratio = _mean_ratio(of_wording, _all(selector, "valid_u"))
        lines.append(f"ratio {name}_{wording}_over_valid_u {ratio:.3f} bar {bar:.3f}")
    return lines


def cost_table(cost: dict[str, dict[str, Any]]) -> str:
    """Return parameters and times of each selector."""
    rows = [
        (
            name,
            f"{each['parameters']:,}",
            f"{each['seconds_an_epoch']:.0f}",
            f"{each['seconds'] / 60:.1f}",
            f"{each['ms_a_video']:.0f}",
        )
        for name, each in cost.items()
    ]
    head = ("selector", "parameters", "s an epoch", "min in all", "ms to score a video")
    return table(head, rows)


def curve_table(cost: dict[str, dict[str, Any]]) -> str:
    """Return J&F by the number of training videos."""
    sizes = list(next(iter(cost.values()))["curve"])
    rows = [
        (name, split, *(figure(each["curve"][size][split]) for size in sizes))
        for name, each in cost.items()
        for split in BARS
    ]
    return table(("selector", "split", *sizes), rows)


def groups(selectors: dict[str, Selector]) -> list[dict[str, Selector]]:
    """Return the selectors that one table compares: of descriptions, and of relations."""
    of_relations = {k: v for k, v in selectors.items() if k.startswith(RELATIONS)}
    others = {k: v for k, v in selectors.items() if k not in of_relations}
    return [group for group in (others, of_relations) if group]


def _all(selector: Selector, split: str, answer: str = "selection") -> list[float]:
    return list(selector["splits"][split][ALL][answer])


def _mean_ratio(of_seeds: Sequence[float], over: Sequence[float]) -> float:
    return statistics.mean(a / b for a, b in zip(of_seeds, over, strict=True))


def _mean_of(
    selector: Selector, kinds: Sequence[str], end: str, answer: str = "selection"
) -> list[float]:
    """Return the mean J&F over several kinds of one wording of split paraphrase, by seed."""
    rows = [selector["splits"]["paraphrase"][kind + end] for kind in kinds]
    of_seeds = zip(*(row[answer] for row in rows), strict=True)
    numbers = [row["number"] for row in rows]
    return [
        sum(value * each for value, each in zip(values, numbers, strict=True)) / sum(numbers)
        for values in of_seeds
    ]


def of_page(figures: dict[str, dict[str, Any]]) -> list[str]:
    """Return the tables and the lines with bars that docs/results.md shows."""
    selectors, cost = figures["selectors"], figures["cost"]
    headline = selectors[HEADLINE]
    found = [answers_table(headline, split) for split in BARS]
    found += [wordings_table(headline), *map(recipes_table, groups(selectors))]
    for name in (HEADLINE, RELATIONS + HEADLINE):
        found += ratios(name, selectors[name], selectors[BASELINE])
    return [*found, cost_table(cost), curve_table(cost)] if cost else found


def show(selectors: dict[str, Selector]) -> None:
    """Print the tables of some selectors."""
    for group in groups(selectors):
        print(f"\n{recipes_table(group)}")
    for name, selector in selectors.items():
        print(f"\n{name}: threshold {selector['threshold']:g}, seeds {selector['seeds']}")
        for split in BARS:
            print(f"\n{selector['dataset']}/{split}\n\n{answers_table(selector, split)}")
        if "paraphrase" in selector["splits"]:
            print(f"\n{selector['dataset']}/paraphrase\n\n{wordings_table(selector)}")
        print("\nminutes", *(each or "resumed" for each in selector["minutes"]))
        for line in ratios(name, selector, selectors.get(BASELINE)):
            print(line)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description="tables of docs/results.md")
    parser.add_argument("figures", type=Path, nargs="?", default=COMMITTED)
    found = read(parser.parse_args().figures)
    show(found["selectors"])
    if cost := found["cost"]:
        print(f"\n{cost_table(cost)}\n\n{curve_table(cost)}")


if __name__ == "__main__":
    main()
