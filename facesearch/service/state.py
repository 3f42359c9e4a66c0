"""What all requests of a process share."""

import threading
from typing import Annotated

from fastapi import Depends, Request

from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.service.batching import BatchingModel
from facesearch.service.limited_embedder import LimitedEmbedder
from facesearch.service.metrics import Metrics
from facesearch.service.runner import Runner
from facesearch.service.settings import Settings
from facesearch.service.work import Work
from facesearch.storage.vault import Kind, from_environment


class Service:
    """A gallery, a model, and the threads that use them."""

    def __init__(self, settings: Settings) -> None:
        """Raises FacesearchError if the gallery or the model cannot be used."""
        self.settings = settings
        self.model = BatchingModel(settings.model, settings.detector, settings.precision)
        embedder = LimitedEmbedder(self.model, settings.limits, settings.detail, settings.min_face)
        self.gallery = Gallery(
            settings.gallery, keys=self._keys, recognizer=Recognizer.of(embedder)
        )
        self.gallery.unlock()
        self.work = Work(settings.limits)
        self.stopping = threading.Event()  # set: answers that go on for ever end now
        self.jobs = Runner(self.gallery, settings.imports, self.stopping)
        self.metrics = Metrics()
        self.metrics.gauge("facesearch_busy", "Requests in threads.", lambda: self.work.taken)
        self.metrics.gauge("facesearch_runs", "Of the network.", lambda: self.model.runs)
        self.metrics.gauge("facesearch_faces", "In these runs.", lambda: self.model.faces)

    def check(self) -> None:
        """Raises FacesearchError if the gallery cannot be searched."""
        self.gallery.check_model()
        self.gallery.prepare()

    def start(self) -> None:
        """Go on with the jobs that an earlier stop has interrupted."""
        self.jobs.start()

    def close(self) -> None:
        """Wait for the requests that are being answered; jobs stay where they are."""
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
