"""A review of a gallery, from its faces and from what strangers find in it."""

from typing import Any

from facesearch.core.progress import Progress
from facesearch.gallery.recognizer import Recognizer
from facesearch.gallery.review_report import reviewed, strangers_row
from facesearch.gallery.search import Search
from facesearch.matching.thresholds import threshold_to_search
from facesearch.storage.store import Store


def review_rows(
    store: Store,
    search: Search,
    recognizer: Recognizer,
    fpir: float | None,
    photos: bool,
    progress: Progress,
) -> list[dict[str, Any]]:
    """All rows of a review; see `Gallery.review`."""
    strangers = search.impostor_scores(recognizer.model)
    calibration = recognizer.calibration
    limit = threshold_to_search(calibration, strangers, fpir).distance
    rows = list(reviewed(store, calibration, limit, progress, photos=photos))
    return [*rows, strangers_row(strangers, limit, search.people_count())]
