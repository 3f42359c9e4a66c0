"""What all requests of a process share."""

import threading
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from facesearch.calibrate import Calibration, calibration_of
from facesearch.service.batching import BatchingModel
from facesearch.service.settings import Settings
from facesearch.service.shared import GuardedEmbedder, SharedGallery
from facesearch.service.work import Work
from facesearch.vault import Kind, from_environment


class Service:
    """A gallery, a model, and the threads that use them."""

    def __init__(self, settings: Settings) -> None:
        """Raises FacesearchError if the gallery or the model cannot be used."""
        self.settings = settings
        self.model = BatchingModel(settings.model, settings.detector, settings.precision)
        self.embedder = GuardedEmbedder(
            self.model, settings.limits, settings.detail, settings.min_face
        )
        self.gallery = SharedGallery(settings.gallery, self._keys)
        self.gallery.unlock()
        self.work = Work(settings.limits)
        self.stopping = threading.Event()  # answers that never end on their own end now

    @cached_property
    def calibration(self) -> Calibration:
        """Raises ModelError."""
        return calibration_of(self.model)

    def close(self) -> None:
        self.stopping.set()
        self.work.close()
        self.model.close()
        self.gallery.close()

    def _keys(self, kind: Kind) -> bytes:
        return self.settings.secret or from_environment(kind)


def _service(request: Request) -> Service:
    found: Service = request.app.state.facesearch
    return found


Shared = Annotated[Service, Depends(_service)]
