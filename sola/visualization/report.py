"""Write the HTML report of an evaluation: numbers, plots and a gallery."""

import json
import logging
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from io import StringIO
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sola.config.console import progress
from sola.evaluation.compare import check_same_split, compare, read_run
from sola.evaluation.measure import ALL_TRACKS, ORACLE, SELECTION
from sola.evaluation.scores import ScoredSplit, group_by_video
from sola.evaluation.table import answer_rows, list_notes, print_comparison, with_interval
from sola.files import whole_results
from sola.metrics.labels import count_pixels, mean_iou, track_labels, unite_objects
from sola.visualization import videos
from sola.visualization.colours import as_css
from sola.visualization.plots import ScoredTrack, draw_report_plots, write_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT_DIR = "report"
SHOWN = ("video", "expression", "text", "kind", "objects", "groups")
ASSETS = ("style.css", "masks.js", "gallery.js", "viewer.js")
PAGE = "index.html"
ORIGIN = ("checkpoint", "scorer", "tracks", "text_encoder", "seed", "versions", "protocol")

log = logging.getLogger(__name__)


def check_other_run(path: str | None, dataset: str, split: str) -> None:
    """Check the run to compare with, before anything is measured.

    Args:
        path: output folder of the other run; None: no other run.
        dataset: name of the data set of this run.
        split: split of this run.

    Raises:
        UserError: if the other run is missing, or has another split.
    """
    if path is not None:
        own = {"run": "this run", "dataset": dataset, "split": split}
        check_same_split(read_run(Path(path)), own)


def write_report(
    output_dir: Path,
    split: ScoredSplit,
    evaluation: Mapping[str, Any],
    *,
    other_run: str | None = None,
) -> Path:
    """Write the report of a selector's evaluation beside evaluation.json; return its index.html.

    It replaces an older report once it is complete.

    Args:
        output_dir: folder of the evaluation.
        split: the split that was measured.
        evaluation: content of evaluation.json.
        other_run: output folder of a run to compare with.

    Raises:
        UserError: if a file is missing or does not match.
    """
    comparison, others = None, {}
    if other_run is not None:
        other, own = read_run(Path(other_run)), {**evaluation, "run": str(output_dir)}
        comparison, others = compare(other, own, SELECTION), answers_of(other, evaluation)
    with whole_results(output_dir, [REPORT_DIR]) as unfinished:
        folder = unfinished / REPORT_DIR
        rows, all_scores = _write_videos(folder, split, evaluation)
        for row in rows if others else ():
            row["answers"]["other"] = others[row["video"], row["expression"]]
        figures = draw_report_plots(evaluation, all_scores)
        write_page(folder, evaluation, figures, rows, comparison=comparison)
    page = output_dir / REPORT_DIR / PAGE
    log.info("%s: the report, for any browser", page)
    return page


def answers_of(other: Mapping[str, Any], own: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """Return the selections of another run, without tracks if the runs used different tracks.

    Args:
        other: content of evaluation.json of the other run.
        own: content of evaluation.json of this run, with the same expressions.

    Returns:
        (video id, expression id) -> scores and "tracks", which may be None.
    """
    is_same = _made_by(other) == _made_by(own)
    own_answers = {(e["video"], e["expression"]): e["answers"] for e in own["expressions"]}
    found = {}
    for entry in other["expressions"]:
        key, answers = (entry["video"], entry["expression"]), entry["answers"]
        found[key] = dict(answers[SELECTION])
        if not is_same or answers.get(ALL_TRACKS) != own_answers[key][ALL_TRACKS]:
            found[key]["tracks"] = None
    return found


def write_page(
    folder: Path,
    evaluation: Mapping[str, Any],
    figures: Mapping[str, "Figure"],
    entries: Sequence[Mapping[str, Any]],
    *,
    comparison: Mapping[str, Any] | None = None,
) -> None:
    """Write index.html and all files that it loads, except the videos.

    Args:
        folder: folder of the report.
        evaluation: content of evaluation.json.
        figures: plots by file name.
        entries: rows of the gallery, one per expression.
        comparison: comparison with another run, see ``sola.evaluation.compare.compare``.
    """
    assets = files("sola.visualization") / "assets"
    for name in ASSETS:
        (folder / name).write_bytes((assets / name).read_bytes())
    (folder / "colours.css").write_text(as_css())
    label_iou, _ = _label_rule(evaluation)
    index = {"threshold": evaluation["threshold"], "label_iou": label_iou, "expressions": entries}
    videos.write_script(folder / "data" / "index.js", "report.open(", index)
    (folder / "plots").mkdir(exist_ok=True)
    results, losses, best = (evaluation[key] for key in ("results", "losses", "best_threshold"))
    notes = list_notes(evaluation)
    if len(evaluation["by_kind"]) > 1:
        notes.append("kind: of the expression, as the data set records it")
    scored_by = (evaluation.get("checkpoint") or {}).get("path") or evaluation["scorer"].get("name")
    origin = {key: evaluation[key] for key in ORIGIN if key in evaluation}
    page = Template((assets / PAGE).read_text(encoding="utf-8")).substitute(
        {name: evaluation[f"num_{name}"] for name in ("expressions", "videos", "tracks")},
        title=escape(f"{evaluation['dataset']}/{evaluation['split']}"),
        threshold=f"{evaluation['threshold']:g}",
        scored_by=f"scored by {escape(str(scored_by))}",
        selection=_cell(results[SELECTION]),
        oracle=_cell(results[ORACLE]),
        lost_by_selection=_cell(losses["selection"]),
        lost_by_generation=_cell(losses["generation"]),
        at_best=_cell({**best, "interval": None}),
        best=f"{best['threshold']:g}",
        answers=_answers(evaluation),
        label_iou=f"{label_iou:g}",
        notes="".join(f"<li>{escape(note)}</li>" for note in notes),
        plots="".join(_plot(folder, name, figure) for name, figure in figures.items()),
        origin=escape(json.dumps(origin, indent=1)),
        hidden="hidden" if comparison is None else "",
        differences="" if comparison is None else _differences(comparison),
    )
    (folder / PAGE).write_text(page, encoding="utf-8")


def _write_videos(
    folder: Path, split: ScoredSplit, evaluation: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[ScoredTrack]]:
    """Write all videos; return the rows of the gallery and all scores for the plots."""
    entries = {(each["video"], each["expression"]): each for each in evaluation["expressions"]}
    dataset, by_video = split.dataset, group_by_video(split.dataset.expressions)
    rows: list[dict[str, Any]] = []
    all_scores: list[ScoredTrack] = []
    with progress("report", len(by_video)) as advance:
        for number, expressions in enumerate(by_video.values()):
            tracks = split.sources.read(expressions)
            video, objects = dataset.videos[tracks.video_id], dataset.ground_truth(tracks.video_id)
            num_frames = videos.frames_per_video(len(by_video))
            shown = videos.show_video(video, tracks.size, num_frames, tracks.masklets, objects)
            pixels = count_pixels(tracks.masklets, objects, len(video.frame_paths))
            by_expression = {}
            for expression in expressions:
                entry = entries[expression.video_id, expression.expression_id]
                labels = track_labels(pixels, entry["objects"], *_label_rule(evaluation))
                overlaps = mean_iou(unite_objects(pixels, entry["objects"]), "count")[:, 0]
                row = sorted(split.scores.row(expression).items(), key=lambda item: -item[1])
                scored = [(track, round(score, 5), bool(labels[track])) for track, score in row]
                all_scores += scored
                by_expression[expression.expression_id] = [
                    (*each, round(float(overlaps[each[0]]), 4) if entry["objects"] else None)
                    for each in scored
                ]
                answers = {name: entry["answers"][name] for name in (SELECTION, ORACLE)}
                path = folder / "thumbs" / f"{len(rows)}.jpg"
                videos.write_thumbnail(path, shown, entry["objects"], answers[SELECTION]["tracks"])
                rows.append({name: entry[name] for name in SHOWN})
                rows[-1] |= {"file": number, "answers": answers}
            videos.write_video(folder, number, shown, tracks, by_expression)
            advance("")
    return rows, all_scores


def _label_rule(evaluation: Mapping[str, Any]) -> tuple[float, str]:
    """Return the label IoU and the rule for empty frames that the training used, or defaults."""
    training = (evaluation.get("checkpoint") or {}).get("training") or {}
    data = training.get("data") or {}
    return data.get("label_iou", 0.7), data.get("empty_frames", "count")


def _made_by(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the origin of a run's tracks, equal for runs that used the same tracks."""
    return [
        {k: v for k, v in tracks.items() if k in ("source", "tracker") or "_sha256" in k}
        for tracks in run.get("tracks", ())
    ]


def _answers(evaluation: Mapping[str, Any]) -> str:
    """Return the HTML table of all answers."""
    measures, counts = ("J", "F", "J&F", *evaluation.get("metrics", ())), ("expressions", "videos")
    columns = ("answer", *measures, *counts)
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = ""
    for label, mean in answer_rows(evaluation):
        cells = [_cell(mean, measure) for measure in measures]
        cells += [str(mean[f"num_{name}"]) for name in counts]
        data = "".join(f"<td>{cell}</td>" for cell in cells)
        body += f'<tr><th scope="row">{escape(label)}</th>{data}</tr>'
    return f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"


def _differences(comparison: Mapping[str, Any]) -> str:
    """Return the table that ``sola.evaluation.compare`` prints, as escaped text."""
    groups = {"kind": comparison["by_kind"], **comparison["by_group"]}
    rows = {f"{name}: {k}": v for name, parts in groups.items() for k, v in parts.items() if k}
    text = StringIO()
    print_comparison({**comparison, "by_kind": rows}, Console(file=text, width=120))
    return escape(text.getvalue())


def _cell(mean: Mapping[str, Any], measure: str = "J&F") -> str:
    """Return a number with its interval in small print, as HTML."""
    figure, _, interval = with_interval(mean, measure).partition(" ")
    return f"{figure} <small>{interval}</small>"


def _plot(folder: Path, name: str, figure: "Figure") -> str:
    """Write a plot; return it as HTML with links to its files."""
    title = escape(name.replace("_", " "))
    svg = write_plot(figure, folder / "plots" / name)
    svg = svg.replace("<svg ", f'<svg class="plot" role="img" aria-label="{title}" ', 1)
    links = ", ".join(
        f'<a href="plots/{name}.{kind}" aria-label="{kind.upper()} of {title}">{kind.upper()}</a>'
        for kind in ("svg", "png")
    )
    return f"<figure>{svg}<figcaption>{links}</figcaption></figure>"
