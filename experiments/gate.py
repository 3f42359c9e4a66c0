"""What the gate of vision/quality.py refuses, what it lets through, and the error it saves.

    python -m experiments.gate ../shared/data/lfw [--model models/default]

On the people whom training left for validation: their photos as they are, blurred and shrunk, and
patches beside their faces. Prints the share refused, by condition, and the share of strangers who
match somebody of a gallery of 100; writes both and the error-versus-discard curve of each measure
into the model's report. The limits of the gate were chosen here, on no test people.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.measuring import this_command
from facesearch.core.face import Face, principal
from facesearch.evaluation.model_card import REPORT, write_section
from facesearch.metrics.pairs import all_pairs, threshold_at_fmr
from facesearch.training.dataset import split_people
from facesearch.vision import images
from facesearch.vision.alignment import align
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from facesearch.vision.photo_files import people_in
from facesearch.vision.quality import sharpness, skew, unrecognisable, unusable

GALLERY, FPIR, FMR = 100, 0.01, 0.01
BLURS = (2, 4, 6, 8)  # pixels of a Gaussian's deviation, at 40 pixels between the eyes
SIZES = (16, 13, 8, 6)  # pixels between the eyes

Sample = tuple[Face, images.Pixels, str]  # the face, its chip, why it is unusable so far


def sample(embedder: Embedder, pixels: images.Pixels, face: Face) -> Sample:
    how = embedder.preprocessing
    chip = align(pixels, face.points, how.size, 0, how.template)
    height, width = pixels.shape[:2]
    return face, chip, unusable(face, chip, width, height, how.detector)


def blurred(pixels: images.Pixels, face: Face, radius: float) -> tuple[images.Pixels, Face]:
    blur = ImageFilter.GaussianBlur(radius * face.eye_distance / 40)
    return np.asarray(Image.fromarray(pixels).filter(blur)), face


def shrunk(pixels: images.Pixels, face: Face, eyes: float) -> tuple[images.Pixels, Face]:
    factor = eyes / face.eye_distance
    size = (max(1, round(side * factor)) for side in pixels.shape[1::-1])
    points = tuple((factor * (x + 0.5) - 0.5, factor * (y + 0.5) - 0.5) for x, y in face.points)
    smaller = Image.fromarray(pixels).resize(tuple(size), Image.Resampling.BOX)
    return np.asarray(smaller), replace(face, box=face.box.scaled(factor), points=points)


def patch(pixels: images.Pixels, face: Face) -> tuple[images.Pixels, Face]:
    """The photo's upper left corner in place of the face: a patch that is no face."""
    dx, dy = -face.box.left, -face.box.top
    points = tuple((x + dx, y + dy) for x, y in face.points)
    box = replace(
        face.box,
        left=0,
        top=0,
        right=face.box.right + dx,
        bottom=face.box.bottom + dy,
    )
    return pixels, replace(
        face, box=box.scaled(0.5), points=tuple((x / 2, y / 2) for x, y in points)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--model", type=Path, default=Path("models/default"))
    args = parser.parse_args()
    model = Model(args.model)
    embedder = Embedder(model)
    validation = split_people(args.lfw, people_in(args.lfw), seed=0).validation
    conditions: dict[str, list[Sample]] = {}
    owners = []
    for number, photos in enumerate(validation.values()):
        for path in photos[:4]:
            pixels = images.read(path)
            portrait = embedder.read(path)
            if not portrait.faces:
                continue
            face = principal(portrait.faces, portrait.width, portrait.height)
            owners.append(number)
            changed = {"as they are": (pixels, face)}
            changed |= {f"blur {blur}": blurred(pixels, face, blur) for blur in BLURS}
            changed |= {f"eyes {size} pixels apart": shrunk(pixels, face, size) for size in SIZES}
            changed["patches beside the faces"] = patch(pixels, face)
            changed["one grey"] = (np.full_like(pixels, 128), face)
            for name, (picture, moved) in changed.items():
                conditions.setdefault(name, []).append(sample(embedder, picture, moved))
    people = np.array(owners)
    embedded = {
        name: model.embed_with_consistency(np.array([chip for _, chip, _ in samples]))
        for name, samples in conditions.items()
    }
    firsts = np.unique(people, return_index=True)[1]
    enrolled = embedded["as they are"][0][firsts[:GALLERY]]
    strangers = firsts[GALLERY:]
    nearest = {
        name: np.sqrt(np.maximum(2 - 2 * (vectors[strangers] @ enrolled.T).max(axis=1), 0))
        for name, (vectors, _) in embedded.items()
    }
    threshold = threshold_at_fmr(nearest["as they are"].astype(float), FPIR)
    lines = [
        "| faces | refused | strangers matched, without the gate | with it |",
        "|---|---|---|---|",
    ]
    for name, samples in conditions.items():
        refused = np.array(
            [
                bool(reason or unrecognisable(flip_consistency, model.least_flip_consistency))
                for (_, _, reason), flip_consistency in zip(samples, embedded[name][1], strict=True)
            ]
        )
        near = nearest[name] <= threshold
        lines.append(
            f"| {name} | {refused.mean():.3f} | {near.mean():.3f} "
            f"| {np.mean(near & ~refused[strangers]):.3f} |"
        )
    report = model.folder / REPORT
    curves = discard(conditions, embedded, people, report / "discard.png")
    text = f"""Measured by `{this_command()}` on {len(people)} photos of the
{len(firsts)} people left for validation; strangers are {len(strangers)} of them, searched in a
gallery of {GALLERY} others, at the threshold that {FPIR:.0%} of them pass unchanged.

{chr(10).join(lines)}

FNMR at FMR {FMR:g} over photos as they are, blurred and shrunk together, after the worst share by
one measure is left out (`discard.png`):

{curves}"""
    print(text)
    write_section(report / "report.md", "## The gate", f"{text}\n\n![discard](discard.png)")


def discard(
    conditions: dict[str, list[Sample]],
    embedded: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
    people: NDArray[np.int64],
    plot: Path,
) -> str:
    """The error-versus-discard curve of each measure."""
    from matplotlib import pyplot as plt

    names = [name for name in conditions if name not in ("patches beside the faces", "one grey")]
    drawn = np.random.default_rng(0).integers(len(names), size=len(people))  # one of each photo
    faces = [conditions[names[which]][row] for row, which in enumerate(drawn)]
    vectors = np.array([embedded[names[which]][0][row] for row, which in enumerate(drawn)])
    measures = {
        "agreement": [embedded[names[which]][1][row] for row, which in enumerate(drawn)],
        "sharpness": [sharpness(chip)[0] for _, chip, _ in faces],
        "eye distance": [face.eye_distance for face, _, _ in faces],
        "frontal": [-skew(face) for face, _, _ in faces],
        "detector's score": [face.score for face, _, _ in faces],
    }
    shares = (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
    head = " | ".join(f"{share:g}" for share in shares)
    lines = [f"| left out by | {head} |", "|---" * (len(shares) + 1) + "|"]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, values in measures.items():
        order = np.argsort(values)
        errors = []
        for share in shares:
            kept = order[int(share * len(order)) :]
            genuine, impostor = all_pairs(vectors[kept], people[kept])
            errors.append(float(np.mean(genuine > threshold_at_fmr(impostor, FMR))))
        lines.append(f"| {name} | {' | '.join(f'{error:.3f}' for error in errors)} |")
        axes.plot(shares, errors, marker="o", label=name)
    axes.set(xlabel="share of photos left out", ylabel=f"FNMR at FMR {FMR:g}", title="Discard")
    axes.legend()
    figure.savefig(plot, dpi=110)
    plt.close(figure)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
