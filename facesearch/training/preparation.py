"""What training needs before its first step: the split of the people and the chips of each part."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from facesearch.core.progress import Progress
from facesearch.training.config import TrainConfig
from facesearch.training.dataset import ChipCache, Faces, Split, faces_of, fingerprint
from facesearch.training.distributed import Processes
from facesearch.vision import model
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.model import Preprocessing
from facesearch.vision.photo_files import all_photos


@dataclass(frozen=True, slots=True)
class Prepared:
    """The data of a training run."""

    data: Path
    split: Split
    reader: FaceReader
    cache: ChipCache
    identity: str  # the fingerprint of the photos
    parts: Mapping[str, Faces]  # train, validation, test

    def origin(self, config: TrainConfig) -> dict[str, str]:
        """The settings and the data, which a resumed run must share."""
        settings = json.dumps(asdict(config))
        return {"config": settings, "data": self.identity, "split": self.split.source}


def reader_for(
    size: int, detector_files: Sequence[Path], detail: int, min_face: float
) -> FaceReader:
    """The reader that makes chips of `size` pixels with the detector that has these files."""
    names = tuple(path.name for path in detector_files)
    detector = {files: name for name, files in model.DETECTOR_FILES.items()}[names]
    how = Preprocessing(size=size, detector=detector)
    return FaceReader(how, detector_files, detail, min_face)


def prepare(
    data: Path,
    split: Split,
    work: Path,
    config: TrainConfig,
    reader: FaceReader,
    progress: Progress,
    group: Processes,
) -> Prepared:
    """Find and align the faces of all photos; what lies in the folder `work` is not made again.

    The first process of the group does the work, the others wait for it. Raises DataError if a part
    has too few people with two usable photos.
    """
    cache = ChipCache(work, reader, config.margin)
    people = {"train": split.train, "validation": split.validation, "test": split.test}
    photos = [path for part in people.values() for path in all_photos(part)]
    if group.first:
        cache.fill(photos, progress)
    group.wait()
    if not group.first:
        cache.recall()
    parts = {name: faces_of(part, cache, data) for name, part in people.items()}
    return Prepared(data, split, reader, cache, fingerprint(photos, data), parts)
