"""What all requests of a process share."""

import threading
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from facesearch.core.errors import ModelError
from facesearch.matching.calibration import Calibration, calibration_of
from facesearch.service.batching import BatchingModel
from facesearch.service.metrics import Metrics
from facesearch.service.runner import Runner
from facesearch.service.settings import Settings
from facesearch.service.shared_gallery import GuardedEmbedder, SharedGallery
from facesearch.service.work import Work
from facesearch.storage.vault import Kind, from_environment


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
        self.jobs = Runner(self.gallery, self.embedder, settings.imports, self.stopping)
        self.metrics = Metrics()
        self.metrics.gauge("facesearch_busy", "Requests in threads.", lambda: self.work.taken)
        self.metrics.gauge("facesearch_runs", "Of the network.", lambda: self.model.runs)
        self.metrics.gauge("facesearch_faces", "In these runs.", lambda: self.model.faces)

    @cached_property
    def calibration(self) -> Calibration:
        """Raises ModelError."""
        return calibration_of(self.model)

    @property
    def calibrated(self) -> Calibration | None:
        """None for a model without a calibration."""
        try:
            return self.calibration
        except ModelError:
            return None

    def check(self) -> None:
        """Raises FacesearchError if nothing could be searched."""
        self.gallery.check_model(self.embedder)
        self.gallery.refresh()

    def start(self) -> None:
        """Go on with the jobs that an earlier stop has cut off."""
        self.jobs.start()

    def close(self) -> None:
        """What is under way is waited for; jobs stay where they are."""
        self.stopping.set()
        self.jobs.close()
        self.work.close()
        self.model.close()
        self.gallery.close()

    def _keys(self, kind: Kind) -> bytes:
        return self.settings.secret or from_environment(kind)


def _service(request: Request) -> Service:
    found: Service = request.app.state.facesearch
    return found


Shared = Annotated[Service, Depends(_service)]
