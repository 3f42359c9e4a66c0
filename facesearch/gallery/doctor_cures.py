"""What the doctor does about damaged rows: in words, and as a change within a transaction."""

from collections.abc import Callable
from functools import partial
from typing import Any

from facesearch.gallery.doctor_findings import Cure
from facesearch.storage import repair, row_checksums
from facesearch.storage.preferences import PREFERENCES
from facesearch.storage.row_checksums import Rows
from facesearch.storage.settings import delete_settings, set_setting


def _of_event(row: Any) -> tuple[str, Cure]:
    cured = "deletes what it says; what it tells of cannot be undone any more"
    return cured, partial(repair.empty_event, number=row.id)


def _of_search(row: Any) -> tuple[str, Cure]:
    return "keeps only that there was a search", partial(repair.empty_search, number=row.id)


def _of_setting(row: Any) -> tuple[str, Cure]:
    if row.key in PREFERENCES:
        cured = f"sets it to {PREFERENCES[row.key][0]!r}, the default"
        return cured, lambda connection: delete_settings(connection, row.key)
    if row.key == "fingerprint":
        cured = "deletes it; `facesearch gallery reindex --model NAME` writes that of a model"
        return cured, partial(set_setting, key="fingerprint", value="(damaged)")
    return "keeps it as it is stored", partial(
        repair.accept_row, rows=row_checksums.SETTINGS, key=row.key
    )


def _of_terms(row: Any) -> tuple[str, Cure]:
    cured = "deletes the last day, so that nobody is purged by a wrong one; set it again with "
    cured += "`people set --expires`"
    return cured, partial(repair.drop_last_day, number=row.id)


def _of_job(row: Any) -> tuple[str, Cure]:
    cured = "removes it with its photos; send them again"
    return cured, partial(repair.drop_row, rows=row_checksums.JOBS, key=row.number)


def _of_job_photo(row: Any) -> tuple[str, Cure]:
    cured = f"removes it, so that the job passes it over; send {row.file!r} again"
    return cured, partial(repair.drop_row, rows=row_checksums.JOB_PHOTOS, key=row.id)


def _of_job_result(row: Any) -> tuple[str, Cure]:
    cured = "removes it; the photo is read again"
    return cured, partial(repair.drop_row, rows=row_checksums.JOB_RESULTS, key=row.id)


def _of_chip(row: Any) -> tuple[str, Cure]:
    return "removes it; the photo can be enrolled again", partial(repair.drop_chip, face=row.face)


# in the order in which they are examined; rejections follow, whose cure reads events
CURES: tuple[tuple[Rows, Callable[[Any], tuple[str, Cure]]], ...] = (
    (row_checksums.EVENTS, _of_event),
    (row_checksums.SEARCHES, _of_search),
    (row_checksums.SETTINGS, _of_setting),
    (row_checksums.TERMS, _of_terms),
    (row_checksums.JOBS, _of_job),
    (row_checksums.JOB_PHOTOS, _of_job_photo),
    (row_checksums.JOB_RESULTS, _of_job_result),
    (row_checksums.CHIPS, _of_chip),
)
