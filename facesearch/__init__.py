"""facesearch: an index of people made from photos. Who is this, and are these two the same person?

    import facesearch as fs

    with fs.open("gallery") as gallery:  # a folder, a PostgreSQL URL, or a service at https://host
        gallery.enroll("Ada", "photos/of/ada")
        for face in gallery.identify("party.jpg"):
            print(face.answer, face.name, face.probability)
    print(fs.compare("a.jpg", "b.jpg").same)

A photo is a path, bytes, an open binary file, a PIL image, or an RGB array (H, W, 3) of uint8.
Nothing below is imported before it is used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from facesearch.core.version import __version__

if TYPE_CHECKING:
    from facesearch import errors
    from facesearch.api import bgr, compare, faces, open, open_async
    from facesearch.async_gallery import AsyncGallery
    from facesearch.client import Client
    from facesearch.core.errors import FacesearchError
    from facesearch.enrollment.results import EnrolledPhoto, EnrollmentReport
    from facesearch.gallery.change import Change, Rejected
    from facesearch.gallery.gallery import Gallery
    from facesearch.gallery.info import GalleryInfo
    from facesearch.gallery.profile import EnrolledFace, PersonProfile
    from facesearch.gallery.recognizer import DetectedFace, FaceQuality
    from facesearch.gallery.search_results import IdentifyResult, SearchResult
    from facesearch.matching.comparison import Comparison
    from facesearch.matching.decision import Candidate
    from facesearch.matching.identification import IdentifiedFace
    from facesearch.storage.records import Person

# Before anything imports ONNX Runtime, which else looks up a host and writes a device id.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = [
    "AsyncGallery",
    "Candidate",
    "Change",
    "Client",
    "Comparison",
    "DetectedFace",
    "EnrolledFace",
    "EnrolledPhoto",
    "EnrollmentReport",
    "FaceQuality",
    "FacesearchError",
    "Gallery",
    "GalleryInfo",
    "IdentifiedFace",
    "IdentifyResult",
    "Person",
    "PersonProfile",
    "Rejected",
    "SearchResult",
    "__version__",
    "bgr",
    "compare",
    "errors",
    "faces",
    "open",
    "open_async",
]

_MODULES = {  # where each name is found
    "AsyncGallery": "async_gallery",
    "Candidate": "matching.decision",
    "Change": "gallery.change",
    "Client": "client",
    "Comparison": "matching.comparison",
    "DetectedFace": "gallery.recognizer",
    "EnrolledFace": "gallery.profile",
    "EnrolledPhoto": "enrollment.results",
    "EnrollmentReport": "enrollment.results",
    "FaceQuality": "gallery.recognizer",
    "FacesearchError": "core.errors",
    "Gallery": "gallery.gallery",
    "GalleryInfo": "gallery.info",
    "IdentifiedFace": "matching.identification",
    "IdentifyResult": "gallery.search_results",
    "Person": "storage.records",
    "PersonProfile": "gallery.profile",
    "Rejected": "gallery.change",
    "SearchResult": "gallery.search_results",
    "bgr": "api",
    "compare": "api",
    "errors": "errors",
    "faces": "api",
    "open": "api",
    "open_async": "api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULES[name]}")
    return module if name == "errors" else getattr(module, name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
