"""Photos a second that are enrolled on a local Ray cluster, beside enrolment without one.

    python -m benchmarks.ray ../shared/data/lfw [--photos 1000] [--actors 1 2 4] [--json FILE]

Every run enrols the same photos into a fresh gallery. What it takes to start a cluster is told
apart. Prints a table, and writes JSON.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import machine
from facesearch.core.paths import find_model
from facesearch.enrollment.ray_reader import RayReader, workers
from facesearch.gallery.gallery import Gallery
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from facesearch.vision.photo_files import people_in


@contextmanager
def cluster(embedder: Embedder, actors: int) -> Iterator[RayReader | None]:
    """A reader on a local cluster; None for no actors."""
    if not actors:
        yield None
        return
    with workers("local", embedder, cpus=actors) as found:
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path, help="a folder of photos per person")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    people = people_in(args.tree).items()
    asked = [(name, photo) for name, photos in people for photo in photos][: args.photos]
    embedder = Embedder(Model(find_model()))
    rows = []
    for actors in (0, *args.actors):
        started = time.perf_counter()
        with cluster(embedder, actors) as reader:
            start = time.perf_counter() - started
            seconds = []
            for _ in range(args.runs):
                with (
                    tempfile.TemporaryDirectory() as folder,
                    Gallery(Path(folder) / "gallery") as gallery,
                ):
                    began = time.perf_counter()
                    done = gallery.enroll_each(asked, reader=reader)
                    enrolled = sum(result.status == "enrolled" for result in done)
                    seconds.append(time.perf_counter() - began)
        rates = [len(asked) / each for each in seconds]
        rows.append(
            {
                "actors": actors,
                "photos_per_second": round(statistics.median(rates), 1),
                "from": round(min(rates), 1),
                "to": round(max(rates), 1),
                "start_seconds": round(start, 1),
                "enrolled": enrolled,
            }
        )
    record = {
        "machine": machine(),
        "load": os.getloadavg()[0],
        "photos": len(asked),
        "runs": args.runs,
        "rows": rows,
    }
    if args.json:
        args.json.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{record['machine']}, load {record['load']:.1f}")
    print(f"{len(asked)} photos, {args.runs} runs\n")
    print("actors     photos/s  lowest to highest  start, s  enrolled")
    for row in rows:
        spread = f"{row['from']} to {row['to']}"
        print(
            f"{row['actors'] or 'none':<8} {row['photos_per_second']:>10}  {spread:<17}  "
            f"{row['start_seconds']:>8}  {row['enrolled']:>8}"
        )


if __name__ == "__main__":
    main()
