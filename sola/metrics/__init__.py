"""J, F and J&F as in the benchmarks, labels of tracks, and detection scores."""

from sola.metrics.detections import detection_evidence, detection_scores
from sola.metrics.functional import boundary_f_measure, region_similarity
from sola.metrics.j_and_f import JAndF
from sola.metrics.labels import count_pixels, mean_iou, track_labels

__all__ = [
    "JAndF",
    "boundary_f_measure",
    "count_pixels",
    "detection_evidence",
    "detection_scores",
    "mean_iou",
    "region_similarity",
    "track_labels",
]
