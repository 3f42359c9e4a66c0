"""gallery: the commands that look after a gallery as a whole."""

from facesearch.cli.gallery import state, photos, doctor, model, archive, privacy  # noqa: I001 - the order of help

__all__ = ["archive", "doctor", "model", "photos", "privacy", "state"]
