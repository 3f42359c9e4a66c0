"""How many of LFW's published errata `review` and `enroll` find, and at what price.

    python -m benchmarks.review ../shared/data/lfw models/default [--out results.json]

All of LFW enrolled as it is labelled, a face a photo, then reviewed. A published error is found if
a finding names it; a finding that names none is a false alarm, which may still be an error that
nobody has published. Then every folder is judged as `enroll --tree` would judge it.
"""

import argparse
import json
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.measuring import this_command
from facesearch.core.arrays import content_key
from facesearch.core.templates import templates
from facesearch.enrollment.folder_check import Folder
from facesearch.gallery.impostor_search import impostor_scores_of
from facesearch.gallery.review import Finding, Review
from facesearch.matching.calibration import calibration_of, cohort_of
from facesearch.matching.thresholds import threshold_to_search
from facesearch.storage.records import EnrolledFaces
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.images import sha256
from facesearch.vision.model import Model
from facesearch.vision.near_duplicates import Sketch, copies, sketch
from models.recipes.lfw_faces import Faces, lfw_faces

# What ../shared/data/README.md lists: a photo whose label is wrong, or a pair of people
LABELS = [
    ("Recep_Tayyip_Erdogan 4 is Abdullah Gul", ["Recep_Tayyip_Erdogan_0004"]),
    ("Anja_Paerson 1 and Janica_Kostelic 1 swapped", ["Anja_Paerson_0001", "Janica_Kostelic_0001"]),
    ("Michael_Schumacher 8 is Rubens Barrichello", ["Michael_Schumacher_0008"]),
    ("Mahmoud_Abbas 12 is Hamad Bin Isa", ["Mahmoud_Abbas_0012"]),
    ("Jim_OBrien 1 is another", ["Jim_OBrien_0001"]),
    ("Elisabeth_Schumacher holds two", ["Elisabeth_Schumacher"]),
    ("Debra_Messing 1 and 2 differ", ["Debra_Messing"]),
    ("Martha_Bowen 1 and 2 differ", ["Martha_Bowen"]),
    (
        "Nora_Bendijo 2 and Flor_Montulo 2 swapped",
        ["Nora_Bendijo", "Flor_Montulo"],
    ),
]
PAIRS = [
    ("Andrew_Gilligan", "Andrew_Caldecott"),  # 1 is
    ("Bart_Hendricks", "Ricky_Ray"),
    ("Carlos_Beltran", "Raul_Ibanez"),
    ("Emmy_Rossum", "Eva_Amurri"),
    ("John_Gruden", "Jon_Gruden"),
    ("Wang_Yingfan", "Yingfan_Wang"),
    ("Wang_Nan", "Nan_Wang"),
]
ALARMS = ("mislabelled", "divided", "duplicate", "same-person")  # what asks to be put right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--no-photos", action="store_true", help="as if they were gone: quicker")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    model = Model(args.model)
    faces = lfw_faces(args.lfw, model)
    rows = np.flatnonzero(faces.principal)
    names = [faces.photos[place].parent.name for place in faces.photo[rows]]
    people, owners = np.unique(names, return_inverse=True)
    roster = EnrolledFaces(
        rows,
        owners.astype(np.int64),
        faces.embeddings[rows],
        faces.flip_consistencies[rows].astype(np.float64),
        dict(enumerate(people.tolist())),
    )
    calibration = calibration_of(model)
    keys = [content_key(sha256(faces.photos[place])) for place in faces.photo[rows]]
    enrolled = templates(roster.embeddings, roster.owners)
    strangers = impostor_scores_of(cohort_of(model), enrolled, np.array(keys, np.uint64))
    limit = threshold_to_search(calibration, strangers, None).distance

    reader = FaceReader(model.preprocessing, model.detector_files)

    @cache
    def drawn(row: int) -> Sketch:
        path = faces.photos[faces.photo[row]]
        box = faces.boxes[row]
        seen = reader.read(path).faces
        return sketch(path, min(seen, key=lambda one: abs(one.box.left - box[0])))

    def alike(first: int, second: int) -> bool | None:
        return None if args.no_photos else copies(drawn(first), drawn(second))

    findings = list(Review(roster, calibration, limit, alike=alike).findings())

    def photo(row: int | None) -> str:
        return "" if row is None else faces.photos[faces.photo[row]].stem

    def about(finding: Finding) -> set[str]:
        """The photos and the people that a finding names as wrong."""
        said = {photo(finding.face), photo(finding.other_face)}
        if finding.kind != "mislabelled":
            said.add(roster.names[finding.person])
        else:
            said.add(photo(finding.face).rsplit("_", 1)[0])
        return said

    found: dict[str, str] = {}
    translate_errors: set[int] = set()
    for number, finding in enumerate(findings):
        if finding.kind not in (*ALARMS, "look-alike"):
            continue
        pair = {roster.names[finding.person], roster.names.get(finding.other or -1, "")}
        pair |= {photo(one).rsplit("_", 1)[0] for one in (finding.face, finding.other_face) if one}
        for label, words in LABELS:
            if finding.kind in ("mislabelled", "divided") and about(finding) & set(words):
                found.setdefault(label, f"{finding.kind}: {finding.reason}")
                translate_errors.add(number)
        for one, other in PAIRS:
            if {one, other} <= pair:
                found.setdefault(f"{one} = {other}", f"{finding.kind}: {finding.reason}")
                translate_errors.add(number)
    counts = Counter(finding.kind for finding in findings)
    alarms = Counter(
        finding.kind
        for number, finding in enumerate(findings)
        if finding.kind in ALARMS and number not in translate_errors
    )
    errata = [label for label, _ in LABELS] + [f"{a} = {b}" for a, b in PAIRS]
    held = _held(faces, model)
    print(f"`{this_command()}`: {len(rows):,} faces, {len(people):,} people")
    print("\n| published error | found by review | held back by its folder alone |\n|---|---|---|")
    for label in errata:
        words = dict(LABELS).get(label, label.split(" = "))
        mine = [one for one in held if one in words or one.rsplit("_", 1)[0] in words]
        print(f"| {label} | {found.get(label, 'no')} | {', '.join(mine) or 'no'} |")
    only = sum(said.startswith("look-alike") for said in found.values())
    print(f"\n{len(found)} of {len(errata)} found, {only} of them only as look-alikes.")
    print("\n| kind | findings | no published error | a 1,000 faces |\n|---|---|---|---|")
    for kind in ALARMS:
        rate = 1000 * alarms[kind] / len(rows)
        print(f"| {kind} | {counts[kind]} | {alarms[kind]} | {rate:.2f} |")
    total = 1000 * sum(alarms.values()) / len(rows)
    print(f"| all | {sum(counts[k] for k in ALARMS)} | {sum(alarms.values())} | {total:.2f} |")
    print(f"| look-alike (no alarm) | {counts['look-alike']} | | |")
    print(f"\nA folder by itself holds back {len(held)} of {len(rows):,} photos: {', '.join(held)}")
    if args.out:
        result = {
            "faces": len(rows),
            "people": len(people),
            "errata": len(errata),
            "found": found,
            "findings": counts,
            "false_alarms": alarms,
            "false_alarms_per_1000_faces": total,
            "held_back": held,
            "listed": [
                {
                    "kind": one.kind,
                    "person": roster.names[one.person],
                    "other": roster.names.get(-1 if one.other is None else one.other),
                    "face": photo(one.face),
                    "other_face": photo(one.other_face),
                    "probability": one.probability,
                    "distance": one.distance,
                    "reason": one.reason,
                }
                for one in findings
            ],
        }
        args.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def _held(faces: Faces, model: Model) -> list[str]:
    """The photos that the other photos of their folder hold back, whoever else is enrolled."""
    calibration = calibration_of(model)
    owners = np.array([path.parent.name for path in faces.photos])[faces.photo]
    held = []
    for name in np.unique(owners):
        mine = np.flatnonzero(owners == name)
        photos = np.unique(faces.photo[mine])
        parts = [mine[faces.photo[mine] == one] for one in photos]
        folder = Folder(
            [faces.embeddings[part] for part in parts],
            [faces.flip_consistencies[part].astype(np.float64) for part in parts],
            faces.embeddings[:0],
            0.0,
            calibration,
        )
        for place, one in enumerate(photos):
            verdict = folder.judge(place, [], 1)
            if verdict is not None and verdict.held:
                held.append(faces.photos[one].stem)
    return held


if __name__ == "__main__":
    main()
