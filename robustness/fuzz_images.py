"""Feed damaged images to `facesearch.vision.images`: only an array or a PhotoError may come out.

Small real files of every supported kind are changed at random: bytes and bits flipped, cut,
repeated, spliced, fields set to extremes, EXIF damaged, sizes blown up, and now and then a real
decompression bomb. Input N of a seed is always the same. They are read in a process of its own with
bounded memory (RLIMIT_AS) and bounded time for each input; a process that dies is a finding.

    python -m robustness.fuzz_images --inputs 100000 --out fuzz.json
    python -m robustness.fuzz_images --seed 1 --only 4711 --keep bad.bin   # one input again
"""

import argparse
import io
import json
import multiprocessing
import os
import platform
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from facesearch.core.errors import PhotoError
from facesearch.vision import images

WIDTH, HEIGHT = 61, 43  # odd, so that their bytes are easily found in a file
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SECONDS = 20  # of processor time that one input may take
MEMORY = 3 << 30  # bytes of address space
SOUND = "nothing"
PATIENCE = 600  # seconds without a word from the reading process, whatever the machine is doing


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    defects: int = 0
    slowest: float = 0.0  # seconds of processor time


@dataclass
class Outcome:
    """What became of all inputs."""

    kinds: dict[str, Tally] = field(default_factory=dict)
    findings: list[dict[str, object]] = field(default_factory=list)
    peak: int = 0  # bytes of memory in use at most


# The files that are damaged


def originals() -> dict[str, list[bytes]]:
    """Small files of every kind, by suffix."""
    pillow_heif.register_heif_opener()
    rng = np.random.default_rng(0)
    base = np.linspace(0, 255, WIDTH)[None, :, None] + rng.normal(0, 20, (HEIGHT, WIDTH, 3))
    rgb = Image.fromarray(np.clip(base, 0, 255).astype(np.uint8))
    grey, palette, bits = rgb.convert("L"), rgb.convert("P"), rgb.convert("1")
    alpha = rgb.convert("RGBA")
    alpha.putalpha(grey)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    real = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "camera"

    def saved(image: Image.Image, form: str, **how: object) -> bytes:
        out = io.BytesIO()
        image.copy().save(out, form, **how)  # a save leaves traces in the image
        return out.getvalue()

    def several(form: str) -> bytes:
        return saved(rgb, form, save_all=True, append_images=[rgb.rotate(90), rgb.rotate(180)])

    lab = rgb.convert("LAB")
    lab.info.clear()  # a profile with the time of day

    text = b"P3\n%d %d\n255\n" % (WIDTH, HEIGHT) + b" ".join(b"%d" % v for v in rgb.tobytes())
    return {
        "jpg": [
            saved(rgb, "JPEG", exif=exif),
            saved(rgb, "JPEG", progressive=True, exif=exif),
            saved(rgb.convert("CMYK"), "JPEG"),
            saved(grey, "JPEG", restart_marker_blocks=1),
            several("MPO"),
        ],
        "png": [
            saved(rgb, "PNG", exif=exif),
            saved(alpha, "PNG"),
            saved(palette, "PNG", transparency=3),
            saved(deep, "PNG"),
            saved(bits, "PNG"),
            several("PNG"),
        ],
        "webp": [
            saved(rgb, "WEBP", exif=exif),
            saved(alpha, "WEBP", lossless=True),
            several("WEBP"),
        ],
        "gif": [saved(palette, "GIF"), saved(palette, "GIF", transparency=3), several("GIF")],
        "bmp": [saved(rgb, "BMP"), saved(palette, "BMP"), saved(bits, "BMP"), saved(alpha, "BMP")],
        "tiff": [
            saved(rgb, "TIFF", exif=exif),
            *(
                saved(rgb, "TIFF", compression=name)
                for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")
            ),
            saved(bits, "TIFF", compression="group4"),
            saved(deep, "TIFF"),
            saved(real, "TIFF"),
            saved(alpha, "TIFF"),
            saved(lab, "TIFF"),
            several("TIFF"),
        ],
        "ppm": [saved(rgb, "PPM"), saved(bits, "PPM"), saved(real, "PPM"), text],
        "pgm": [saved(grey, "PPM"), saved(deep, "PPM")],
        "heic": [saved(rgb, "HEIF", exif=exif), saved(alpha, "HEIF"), several("HEIF")],
        "avif": [saved(rgb, "AVIF", exif=exif), saved(alpha, "AVIF"), _timeless(several("AVIF"))],
        "jp2": [
            saved(rgb, "JPEG2000"),
            saved(alpha, "JPEG2000", irreversible=True, quality_layers=[20]),
            saved(deep, "JPEG2000"),
            saved(rgb, "JPEG2000", no_jp2=True, tile_size=(32, 32)),
        ],
    }


def _timeless(data: bytes) -> bytes:
    """A film of the ISO format without the times at which it was made."""
    return re.sub(b"(mvhd|tkhd|mdhd)(\x01...).{16}", rb"\1\2" + bytes(16), data, flags=re.S)


def bombs(side: int) -> dict[str, bytes]:
    """Small sound files of side x side pixels."""
    flat = Image.new("1", (side, side))
    found = {}
    for suffix, form, how in (
        ("png", "PNG", {}),
        ("gif", "GIF", {}),
        ("tiff", "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("bmp", "BMP", {}),
    ):
        out = io.BytesIO()
        flat.save(out, form, **how)
        found[suffix] = out.getvalue()
    out = io.BytesIO()
    Image.new("RGBA", (side, side)).save(out, "PNG")  # needs the most memory
    return {**found, "png with transparency": out.getvalue()}


# How they are damaged


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 4, 16, 64))):
        data[rng.randrange(len(data))] = rng.randrange(256)


def _bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _cut(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 32, 256))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    part = data[at : at + rng.choice((1, 4, 32, 256))]
    data[at:at] = part * rng.choice((1, 2, 100))


def _fill(data: bytearray, rng: random.Random) -> None:
    at, long = rng.randrange(len(data)), rng.choice((4, 16, 200))
    data[at : at + long] = bytes([rng.choice((0, 255, rng.randrange(256)))]) * long


def _field(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 4))):
        size = rng.choice((1, 2, 4))
        at = rng.randrange(min(len(data), rng.choice((32, 128, 1024))))
        value = rng.choice(EXTREMES) & (256**size - 1)
        data[at : at + size] = value.to_bytes(size, rng.choice(("big", "little")))


def _size(data: bytearray, rng: random.Random) -> None:
    """Change width and height, wherever the format has them."""
    other = [rng.choice((0, 1, 3000, 5000, 65_535, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
    for form in (">II", "<II", ">HH", "<HH", "<ii"):
        high = (1 << 8 * struct.calcsize(form) // 2) - 1
        for pair, to in (((WIDTH, HEIGHT), other), ((HEIGHT, WIDTH), other[::-1])):
            if "i" not in form:
                new = struct.pack(form, *(value & high for value in to))
                data[:] = data.replace(struct.pack(form, *pair), new)
    for number, value in zip((WIDTH, HEIGHT), other, strict=True):  # of TIFF's tags, of PPM's text
        tag = struct.pack("<HHI", 256 if number == WIDTH else 257, 4, 1)
        data[:] = data.replace(tag + struct.pack("<I", number), tag + struct.pack("<I", value))
        tag = struct.pack("<HHI", 256 if number == WIDTH else 257, 3, 1)
        short = struct.pack("<I", value & 0xFFFF)
        data[:] = data.replace(tag + struct.pack("<I", number), tag + short)
        if data[:1] == b"P":
            data[:] = data.replace(b"%d" % number, b"%d" % value, 1)


def _exif(data: bytearray, rng: random.Random) -> None:
    """Damage the EXIF entry of the orientation, or what is around it."""
    places = [at for tag in (b"\x01\x12\x00", b"\x12\x01\x03") if (at := data.find(tag)) >= 0]
    if not places:
        return _field(data, rng)
    at = rng.choice(places)
    for _ in range(rng.choice((1, 2, 6))):
        place = at + rng.randrange(-16, 16)
        if 0 <= place < len(data):
            data[place] = rng.choice((0, 1, 7, 9, 255, rng.randrange(256)))
    return None


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _bits,
    _truncate,
    _cut,
    _repeat,
    _fill,
    _field,
    _size,
    _exif,
)


def _right_checksums(data: bytearray) -> None:
    """Correct the checksums of a PNG's chunks, so that the decoder reads what is in them."""
    at = 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        end = at + 8 + size
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4


class Inputs:
    """Input N of a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._files = originals()
        self._suffixes = sorted(self._files)
        self._bombs: dict[int, dict[str, bytes]] = {}

        self.sound = [(suffix, data) for suffix, some in self._files.items() for data in some]

    def __getitem__(self, number: int) -> tuple[str, str, bytes]:
        """The suffix, what was done, and the bytes; the first ones are sound."""
        if number < len(self.sound):
            kind, whole = self.sound[number]
            return kind, SOUND, whole
        rng = random.Random(f"{self._seed}:{number}")
        if number % 1000 == 999:  # just allowed, and just not
            side = 14_000 if number % 4000 == 3999 else 15_000
            if side not in self._bombs:
                self._bombs[side] = bombs(side)
            name = rng.choice(sorted(self._bombs[side]))
            return name.split()[0], f"bomb of {side} x {side}, {name}", self._bombs[side][name]
        suffix = self._suffixes[number % len(self._suffixes)]
        data = bytearray(rng.choice(self._files[suffix]))
        if rng.random() < 0.02:
            data[rng.randrange(4, 40) :] = rng.randbytes(rng.randrange(2000))
            return suffix, "noise", bytes(data)
        done = []
        if rng.random() < 0.1:
            other = rng.choice(self._files[rng.choice((suffix, rng.choice(self._suffixes)))])
            data = data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]
            done.append("splice")
        for mutate in rng.choices(
            MUTATIONS, k=rng.choice((0, 1, 1, 2, 3) if done else (1, 1, 2, 3))
        ):
            if data:
                mutate(data, rng)
                done.append(mutate.__name__.strip("_"))
        if data[1:4] == b"PNG" and rng.random() < 0.7:
            _right_checksums(data)
        return suffix, "+".join(done), bytes(data)


# Reading them


def wrong(path: Path, number: int) -> str | None:
    """Reads the file; None if all is well, else what is wrong. Raises PhotoError if refused."""
    least = (None, 16, 640)[number % 3]
    try:
        photo = images.read_reduced(path, least)
    except PhotoError as error:
        text = str(error)
        if not text.startswith(f"{path}: ") or "\n" in text or len(text) > 1000:
            return f"message: {text!r}"
        raise
    pixels = photo.pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        return f"array: {pixels.dtype} {pixels.shape}"
    if photo.width * photo.height > images.MAX_PIXELS or pixels.size > 3 * images.MAX_PIXELS:
        return f"too large: {photo.width} x {photo.height}"
    return None


Check = Callable[[Path, int], str | None]


def _serve(
    pipe: Connection, seed: int, numbers: range, noise: str, check: Check, seconds: float
) -> None:
    """Read the inputs, in the bounded process, and report the outcome of each."""
    out = os.open(noise, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(out, 2)  # what C libraries print is looked at later
    warnings.filterwarnings("ignore", module=r"PIL\.")  # as the command line does
    inputs = Inputs(seed)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process: C code cannot hold it up
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            suffix, done, data = inputs[number]
            path = Path(folder) / f"input.{suffix}"
            path.write_bytes(data)
            pipe.send(("begin", number, suffix, done))
            signal.setitimer(signal.ITIMER_PROF, seconds)
            started = time.process_time()
            defect: str | None = None
            refused = False
            try:
                defect = check(path, number)
            except PhotoError as error:
                refused = True
                defect = f"sound, but refused: {error}" if done == SOUND else None
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                defect = (
                    f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
                )
            took = time.process_time() - started
            signal.setitimer(signal.ITIMER_PROF, 0)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            pipe.send(("end", refused, defect, took, peak))
    pipe.send(("done",))


def fuzz(
    seed: int,
    numbers: range,
    noise: str = os.devnull,
    check: Check = wrong,
    seconds: float = SECONDS,
) -> Outcome:
    """Read the inputs of these numbers.

    noise: the file for what is printed meanwhile. check: as `wrong`. seconds: for each input.
    """
    outcome = Outcome()
    context = multiprocessing.get_context("spawn")
    at = numbers.start
    while at < numbers.stop:
        mine, theirs = context.Pipe()
        process = context.Process(
            target=_serve,
            args=(theirs, seed, range(at, numbers.stop), noise, check, seconds),
            daemon=True,
        )
        process.start()
        theirs.close()
        for number, suffix, done, end in _heard(mine, process):
            at = number + 1
            tally = outcome.kinds.setdefault(suffix, Tally())
            tally.inputs += 1
            if end is None:
                process.join()
                code = process.exitcode
                hang = code == -signal.SIGPROF or code == -signal.SIGKILL
                defect: str | None = "hang" if hang else f"the process died (exit code {code})"
            else:
                refused, defect, took, peak = end
                tally.refused += refused
                tally.read += not refused and defect is None
                tally.slowest = max(tally.slowest, took)
                outcome.peak = max(outcome.peak, peak)
            if defect is not None:
                tally.defects += 1
                outcome.findings.append(
                    {"input": number, "kind": suffix, "done": done, "defect": defect}
                )
                print(f"input {number} ({suffix}, {done}): {defect}", file=sys.stderr)
            if at % 5000 == 0:
                print(f"{at} inputs", file=sys.stderr)
        process.join()
        if at == numbers.start and process.exitcode:
            raise RuntimeError(f"the reading process does not start: {Path(noise).read_text()}")
    return outcome


def _heard(
    pipe: Connection, process: multiprocessing.process.BaseProcess
) -> Iterator[tuple[int, str, str, tuple[bool, str | None, float, int] | None]]:
    """Each input with its outcome; None for the one at which the process ended."""
    begun = None
    while True:
        try:
            if not pipe.poll(PATIENCE):
                process.kill()
            word = pipe.recv()
        except EOFError:
            if begun is not None:
                yield (*begun, None)
            return
        if word[0] == "done":
            return
        if word[0] == "begin":
            begun = word[1:]
        else:
            assert begun is not None
            yield (*begun, word[1:])
            begun = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="read this input alone")
    parser.add_argument("--keep", type=Path, help="with --only: write the input here")
    parser.add_argument("--out", type=Path, help="write the figures here, JSON")
    asked = parser.parse_args()
    if asked.only is not None and asked.keep:
        asked.keep.write_bytes(Inputs(asked.seed)[asked.only][2])
    first = asked.only if asked.only is not None else 0
    numbers = range(first, first + 1 if asked.only is not None else asked.inputs)
    started = time.monotonic()
    with tempfile.NamedTemporaryFile() as noise:
        outcome = fuzz(asked.seed, numbers, noise.name)
        printed = len(Path(noise.name).read_bytes())
        if printed:
            print(Path(noise.name).read_text(errors="replace")[:2000], file=sys.stderr)
    print(f"{platform.machine()}, Python {platform.python_version()}, Pillow {Image.__version__}")
    print(f"{'kind':6}{'inputs':>9}{'read':>9}{'refused':>9}{'defects':>9}{'slowest':>10}")
    for kind, tally in sorted(outcome.kinds.items()):
        print(
            f"{kind:6}{tally.inputs:9}{tally.read:9}{tally.refused:9}{tally.defects:9}"
            f"{tally.slowest:8.2f} s"
        )
    total = sum(tally.inputs for tally in outcome.kinds.values())
    print(
        f"{total} inputs, {len(outcome.findings)} defects, {outcome.peak / 2**20:.0f} MiB at most, "
        f"{printed} bytes printed by libraries, {time.monotonic() - started:.0f} s"
    )
    if asked.out:
        figures = {
            "seed": asked.seed,
            "inputs": total,
            "seconds_allowed": SECONDS,
            "memory_allowed": MEMORY,
            "peak": outcome.peak,
            "kinds": {kind: asdict(tally) for kind, tally in sorted(outcome.kinds.items())},
            "findings": outcome.findings,
        }
        asked.out.write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(1 if outcome.findings else 0)


if __name__ == "__main__":
    main()
