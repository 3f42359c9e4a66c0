"""Archives that nobody wrote: real ones changed in many ways, read and merged.

    python -m robustness.fuzz_archives --inputs 20000 --seed 0

Whatever the bytes, the outcome is a merge that leaves a sound gallery, or one GalleryError. Nothing
else may come out, nothing may be written outside the gallery, and an input may take SECONDS at
most. Prints how many inputs of each kind were refused and accepted, the slowest, and the memory.
"""

import argparse
import hashlib
import io
import json
import random
import resource
import shutil
import signal
import struct
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facesearch.core.errors import GalleryError
from facesearch.core.face import Box, Face
from facesearch.gallery.archive_export import export
from facesearch.gallery.archive_format import CHIPS, EMBEDDINGS, MANIFEST, MEMBERS, Archive
from facesearch.gallery.archive_import import merge
from facesearch.storage.records import ModelStamp, NewPhoto
from facesearch.storage.store import Store
from facesearch.vision.stored_chips import kept_chip

SECONDS = 20
MODEL = ModelStamp("invented", "f" * 64, 16)
POINTS = ((30.0, 40.0), (60.0, 40.0), (45.0, 60.0), (33.0, 80.0), (57.0, 80.0))

Members = dict[str, bytes]
Change = Callable[[bytes, random.Random], bytes]

NASTY: list[Any] = [
    None, True, -1, 0, 1, 2**63, 10**400, 1e308, -0.0, "", "x", "\0", "\ud800", "a" * 20_000,
    "../../etc/passwd", "/", "\n", "9999-99-99", "2026-02-30", [], [[]], {}, {"a": 1},
    [1, 2, 3, 4], [0, 0, 0, 0], [1e300] * 4, [[0, 0]] * 5, [[1, 2]] * 6, ["1"] * 4,
    "f" * 64, "F" * 64,
]  # fmt: skip
RAW = [
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"[" * 20_000,
    b"{" * 9,
    b"\xff\xfe",
    b"\x00",
]
NAMES = [
    "../evil", "/tmp/evil", "people.jsonl/../../evil", "..\\evil", "C:\\evil", "chips/0.webp", "",
    "a" * 5000,
]  # fmt: skip


def invented(folder: Path, photos: int, seed: int) -> Store:
    """A gallery of people who do not exist, with chips, a rejection and an odd path."""
    rng = np.random.default_rng(seed)
    store = Store(folder, create=True)
    new = []
    for number in range(photos):
        vectors = rng.normal(size=(1 + number % 2, MODEL.dimension))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        count = len(vectors)
        picture = rng.integers(0, 256, (120, 120, 3), dtype=np.uint8)
        boxes = [Box(20.0 + 100 * place, 20.0, 80.0 + 100 * place, 90.0) for place in range(count)]
        new.append(
            NewPhoto(
                name=f"person {seed} {number // 2} é",
                path=Path(f"/photos/caf\udce9/{number}.jpg" if number % 3 else f"/photos/{number}"),
                sha256=hashlib.sha256(bytes([seed, number])).hexdigest(),
                width=640,
                height=480,
                faces=[Face(box, POINTS, 0.9) for box in boxes],
                embeddings=vectors.astype(np.float32),
                flip_consistencies=[0.99] * count,
                chips=[kept_chip(picture, POINTS)] * count if number % 2 else None,
            )
        )
    store.add(new, MODEL)
    with store.database.write("reject", {}) as connection:
        for embedding in ("embedding", "x''"):
            connection.exec_driver_sql(
                "INSERT INTO rejections (person, sha256, box, embedding, at) SELECT 1, "
                f"'{'0' * 64}', box, {embedding}, '2026-01-01T00:00:00' FROM faces WHERE id = 3"
            )
    return store


def unpacked(content: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Members | list[tuple[str, bytes]], *, true: bool = True) -> bytes:
    """An archive of these members; true: the manifest is made to fit them."""
    pairs = list(members.items()) if isinstance(members, dict) else members
    if true:
        pairs = _true(pairs)
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in pairs:
            archive.writestr(zipfile.ZipInfo(name or "?"), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _true(pairs: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    found = []
    for name, content in pairs:
        if name == MANIFEST:
            try:
                manifest = json.loads(content)
                manifest["members"] = {
                    other: {"size": len(inner), "sha256": hashlib.sha256(inner).hexdigest()}
                    for other, inner in pairs
                    if other != MANIFEST
                }
                content = json.dumps(manifest).encode()
            except (ValueError, TypeError, RecursionError):
                pass
        found.append((name, content))
    return found


# Changes to the bytes of the file


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] if rng.random() < 0.7 else content[at:]


def spliced(content: bytes, rng: random.Random) -> bytes:
    """The archive with a piece taken out, put in, doubled or moved."""
    low, high = sorted(rng.randrange(len(content)) for _ in range(2))
    to = rng.randrange(len(content))
    piece = content[low:high]
    return rng.choice(
        [
            content[:low] + content[high:],
            content[:to] + piece + content[to:],
            content[:low] + rng.randbytes(high - low) + content[high:],
            content + piece,
        ]
    )


def directory(content: bytes, rng: random.Random) -> bytes:
    """Numbers in the zip file's own records changed: sizes, counts, offsets, flags, methods."""
    changed = bytearray(content)
    marks = [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"]
    places = [at for at in range(len(content) - 3) if content[at : at + 4] in marks]
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.choice(places) + rng.randrange(4, 46)
        value = rng.choice([0, 1, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, rng.randrange(1 << 32)])
        size = rng.choice([2, 4])
        changed[at : at + size] = struct.pack("<I", value)[:size]
    return bytes(changed)


# Changes to what is inside, with checksums that fit


def swapped(content: bytes, rng: random.Random) -> bytes:
    members = unpacked(content)
    a, b = rng.sample(sorted(members), 2)
    members[a], members[b] = members[b], members[a]
    return packed(members, true=rng.random() < 0.7)


def missing(content: bytes, rng: random.Random) -> bytes:
    members = unpacked(content)
    del members[rng.choice(sorted(members))]
    return packed(members, true=rng.random() < 0.7)


def doubled(content: bytes, rng: random.Random) -> bytes:
    pairs = list(unpacked(content).items())
    pairs.insert(rng.randrange(len(pairs)), rng.choice(pairs))
    return packed(pairs, true=rng.random() < 0.5)


def traversing(content: bytes, rng: random.Random) -> bytes:
    pairs = list(unpacked(content).items())
    if rng.random() < 0.5:
        pairs.append((rng.choice(NAMES), b"evil"))
    else:
        at = rng.randrange(len(pairs))
        pairs[at] = (rng.choice(NAMES), pairs[at][1])
    return packed(pairs, true=rng.random() < 0.7)


def bomb(content: bytes, rng: random.Random) -> bytes:
    """A member that unpacks to much more than it is."""
    members = unpacked(content)
    name = rng.choice([MANIFEST, *MEMBERS, CHIPS])
    fill = rng.choice([b"\0", b" ", b"[", b"{}\n", b'"'])
    members[name] = members.get(name, b"") + fill * rng.choice([70_000, 900_000, 20_000_000])
    return packed(members, true=rng.random() < 0.7)


def row(content: bytes, rng: random.Random) -> bytes:
    """A field of a row, or a whole row, replaced, dropped or doubled."""
    members = unpacked(content)
    name = rng.choice([name for name in MEMBERS if name.endswith(".jsonl")])
    lines = members[name].splitlines(keepends=True)
    at = rng.randrange(len(lines))
    way = rng.randrange(6)
    if way < 3:
        fields = json.loads(lines[at])
        key = rng.choice(sorted(fields))
        fields[key] = _changed(fields[key], rng)
        lines[at] = json.dumps(fields).encode() + b"\n"
    elif way == 3:
        lines[at] = rng.choice(RAW) + b"\n"
    elif way == 4:
        before, _, after = lines[at].partition(b": ")
        lines[at] = before + b": " + rng.choice(RAW) + after[after.find(b",") :]
    else:
        lines[at : at + 1] = rng.choice([[], [lines[at]] * 2, [lines[at].rstrip()], [b"\n"]])
    members[name] = b"".join(lines)
    return packed(members)


def manifest(content: bytes, rng: random.Random) -> bytes:
    """A field of the manifest replaced or dropped; it says what members there really are or not."""
    members = unpacked(content)
    said = json.loads(members[MANIFEST])
    inner = rng.choice([said, said["model"], said["counts"], said["members"]])
    key = rng.choice(sorted(inner))
    if rng.random() < 0.2:
        del inner[key]
    else:
        inner[key] = _changed(inner[key], rng)
    members[MANIFEST] = json.dumps(said).encode()
    return packed(members, true=rng.random() < 0.5)


def numbers(content: bytes, rng: random.Random) -> bytes:
    """Bytes that are no embeddings."""
    members = unpacked(content)
    changed = bytearray(members[EMBEDDINGS])
    value = rng.choice([float("nan"), float("inf"), 0.0, 1e30, -1.0, 1e-40])
    at = 4 * rng.randrange(len(changed) // 4)
    changed[at : at + 4] = struct.pack("<f", value)
    if rng.random() < 0.3:
        changed = changed[:at] if rng.random() < 0.5 else changed + changed[:at]
    members[EMBEDDINGS] = bytes(changed)
    return packed(members)


def picture(content: bytes, rng: random.Random) -> bytes:
    """Chips that are no pictures, or claim to be huge."""
    members = unpacked(content)
    if CHIPS not in members:
        return flipped(content, rng)
    changed = bytearray(members[CHIPS])
    if rng.random() < 0.3:
        changed[26:30] = struct.pack("<HH", *[rng.choice([0, 31, 336, 1024, 0x3FFF])] * 2)
    else:
        for _ in range(rng.choice([1, 8, 500])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    members[CHIPS] = bytes(changed)
    return packed(members)


def _changed(value: Any, rng: random.Random) -> Any:
    if isinstance(value, list) and value and rng.random() < 0.5:
        at = rng.randrange(len(value))
        return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.5:
        return value + rng.choice([-1, 1, 0.5, 1000])
    return rng.choice(NASTY)


CHANGES: list[Change] = [
    flipped, cut, spliced, directory, swapped, missing, doubled, traversing, bomb, row, manifest,
    numbers, picture,
]  # fmt: skip


@dataclass
class Tally:
    """How many inputs were refused and accepted."""

    refused: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


def fuzz(folder: Path, inputs: int, seed: int) -> Tally:
    """Read and merge that many inputs, in an empty folder. Raises whatever should not happen."""
    rng = random.Random(seed)
    originals = []
    for number, chips in ((0, True), (1, False)):
        export(
            invented(folder / f"made-{number}", 6, number), folder / f"{number}.zip", chips=chips
        )
        originals.append((folder / f"{number}.zip").read_bytes())
    empty = folder / "empty"
    Store(empty, create=True).close()
    file, gallery = folder / "input.zip", folder / "gallery"
    before = sorted(folder.iterdir())
    tally = Tally()
    for at in range(inputs):
        change = CHANGES[at % len(CHANGES)]
        content = change(rng.choice(originals), rng)
        file.write_bytes(content)
        start = time.perf_counter()
        signal.alarm(SECONDS)
        try:
            _merged(file, empty, gallery)
            tally.accepted[change.__name__] += 1
        except GalleryError as error:
            if "\n" in str(error) or len(str(error)) > 500:
                raise AssertionError("not one clear line") from error
            tally.refused[change.__name__] += 1
            tally.messages[str(error).removeprefix(f"{file}: ")] += 1
        except BaseException:
            (folder.parent / "culprit.zip").write_bytes(content)
            raise
        finally:
            signal.alarm(0)
            shutil.rmtree(gallery, ignore_errors=True)
        tally.slowest = max(tally.slowest, time.perf_counter() - start)
        file.unlink()
        assert sorted(folder.iterdir()) == before, "something was written elsewhere"
    return tally


def _merged(file: Path, empty: Path, gallery: Path) -> None:
    """Merge the archive into a new gallery, and check that it is sound afterwards."""
    with Archive(file) as archive:
        shutil.copytree(empty, gallery)
        store = Store(gallery, create=False)
        merged = merge(store, archive)
        assert merged.faces_added == archive.contents.faces
    _, owners, vectors = store.vectors()  # checks every checksum
    assert len(owners) == merged.faces_added
    assert np.allclose(np.linalg.norm(vectors.astype(float), axis=1), 1, atol=1e-3)
    assert len(store.person_faces(owners.tolist())) == len(set(owners.tolist()))
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "work").mkdir()
        warm = fuzz(Path(place) / "work", 0, arguments.seed)
        shutil.rmtree(Path(place) / "work")
        (Path(place) / "work").mkdir()
        assert not warm.slowest
        start = time.perf_counter()
        found = fuzz(Path(place) / "work", arguments.inputs, arguments.seed)
    print(f"{'change':<12} {'refused':>8} {'accepted':>9}")
    for change in CHANGES:
        name = change.__name__
        print(f"{name:<12} {found.refused[name]:>8} {found.accepted[name]:>9}")
    print(f"{'all':<12} {found.refused.total():>8} {found.accepted.total():>9}")
    print(f"{len(found.messages)} different messages; the most frequent:")
    for message, count in found.messages.most_common(8):
        print(f"  {count:>6} {message}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{time.perf_counter() - start:.0f} s, slowest input {found.slowest:.2f} s, {memory} MiB")


if __name__ == "__main__":
    main()
