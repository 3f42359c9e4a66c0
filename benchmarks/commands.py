"""Time the commands as a user runs them: whole processes, the median of several.

    python -m benchmarks.commands ../shared/data/lfw [--photos 2000]

Enrols people of LFW into a fresh gallery, then asks about some of them. Prints a table.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import machine, seconds
from facesearch.vision.photo_files import people_in


def run(*arguments: str) -> float:
    """Seconds that a run of facesearch took. Its answer does not matter, but it must be one."""
    command = ["facesearch", *arguments]

    def once() -> None:
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode not in (0, 1):
            sys.exit(done.stderr.decode())

    return seconds(once)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=9)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tree, gallery = Path(folder) / "tree", str(Path(folder) / "gallery")
        copied = 0
        for name, photos in people_in(args.lfw).items():
            if copied >= args.photos:
                break
            (tree / name).mkdir(parents=True)
            for photo in photos:
                shutil.copy(photo, tree / name)
                copied += 1
        seconds = run("--gallery", gallery, "enroll", "--tree", str(tree), "--faces", "largest")
        rows.append(
            ("enrol LFW (250 x 250), photos/s", f"{copied / seconds:.0f}", f"{copied} photos")
        )
        seconds = run("--gallery", gallery, "enroll", "--tree", str(tree), "--faces", "largest")
        rows.append(("the same again, all known, photos/s", f"{copied / seconds:.0f}", ""))
        asked = [str(path) for path in sorted(tree.glob("*/*.jpg"))[: args.runs]]
        for title, commands in (
            (
                "cold identify of one photo, s",
                [("--gallery", gallery, "identify", path) for path in asked],
            ),
            ("cold compare of two photos, s", [("compare", asked[0], path) for path in asked]),
            ("facesearch --help, s", [("--help",)] * args.runs),
        ):
            run(*commands[0])  # to warm the machine's own caches
            times = [run(*command) for command in commands]
            spread = f"{min(times):.2f} to {max(times):.2f}, {len(times)} runs"
            rows.append((title, f"{statistics.median(times):.2f}", spread))
    print(f"{machine()}\n")
    for title, value, note in rows:
        print(f"{title:40} {value:>8}   {note}")


if __name__ == "__main__":
    main()
