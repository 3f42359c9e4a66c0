"""review, cluster, and enrolling whole folders, as the user types them."""

import shutil
from pathlib import Path

from tests.support.commands import (
    GALLERY,
    NOTHING,
    PERSON,
    PHOTO,
    Run,
    one_line_error,
)


def test_cluster_enroll_review(run: Run, people: Path, tmp_path: Path) -> None:
    photos = [path for n in (0, 1) for path in sorted((people / f"person-0{n}").iterdir())[:3]]
    shown = run("cluster", *photos, "--json")
    assert shown.code == 0, shown.err
    assert [(row["group"], row["faces"], row["name"]) for row in shown.lines] == [
        (1, 3, None),
        (2, 3, None),
    ]
    assert {"photos", "spread", "typical", "members"} <= set(shown.lines[0])
    whose = Path(shown.lines[1]["typical"]).parent
    named = run("cluster", *photos, "--name", "2=Zoë Ñ", "--json")
    assert named.code == 0, named.err
    (row,) = named.lines
    assert (row["group"], row["name"], row["enrolled"]) == (2, "Zoë Ñ", 3)
    assert "group 2: 3 faces enrolled as 'Zoë Ñ'\n" in named.err
    found = run("identify", whose / "pose-3.jpg", "--json")
    assert found.lines[0]["name"] == "Zoë Ñ"
    one_line_error(run("cluster", *photos, "--name", "Zoë"), PERSON, "GROUP=NAME")
    assert run("cluster", *photos, "--name", "9=Zoë").code == 2

    stray = tmp_path / "ann"
    other = next(path for path in photos if path.parent != whose).parent
    shutil.copytree(other, stray)
    shutil.copy(whose / "pose-3.jpg", stray / "stray.jpg")
    dry = run("enroll", "--name", "ann", stray, "--dry-run", "--json")
    assert dry.code == 0, dry.err
    (held,) = [row for row in dry.lines if row["held"]]
    assert (Path(held["photo"]).name, held["status"]) == ("stray.jpg", "skipped")
    assert held["other"]["name"] == "Zoë Ñ"
    assert "5 enrolled, 0 known already, 0 skipped, 1 held back" in dry.err
    assert "nothing was written" in dry.err
    assert run("enroll", "--name", "ann", stray, "--include-doubtful", "--quiet").code == 0
    reviewed = run("review", "--json")
    assert reviewed.code == 0, reviewed.err
    rows = {row["kind"]: row for row in reviewed.lines}
    assert (rows["mislabelled"]["name"], rows["mislabelled"]["other"]) == ("ann", "Zoë Ñ")
    assert list(rows["fpir"]["rates"]) == ["2", "20"]
    assert "to put right" in run("review").err


def test_a_group_of_rejected_faces_is_not_enrolled(run: Run, people: Path, tmp_path: Path) -> None:
    photos = sorted((people / "person-00").iterdir())
    assert run("enroll", "--name", "ann", photos[0]).code == 0
    other = tmp_path / "other.jpg"
    shutil.copy(photos[3], other)
    assert run("people", "reject", "ann", other).code == 0
    done = run("cluster", other, "--name", "1=ann", "--smallest", "1", "--json")
    assert done.code == 0, done.err
    (row,) = done.lines
    assert (row["group"], row["name"], row["enrolled"]) == (1, None, 0)
    assert "group 1: no face enrolled as 'ann'; left out: 1 rejected as theirs\n" in done.err


def test_what_only_looks_makes_no_gallery(
    run: Run, people: Path, no_face: Path, tmp_path: Path
) -> None:
    place = tmp_path / "nowhere"
    photo = people / "person-00" / "pose-0.jpg"
    ran = run("cluster", photo, tmp_path / "nosuch.jpg", "--smallest", "1", "--gallery", place)
    one_line_error(ran, PHOTO, "nosuch.jpg: no such file")
    assert "1 unknown face in 1 group" in ran.err
    one_line_error(run("cluster", tmp_path / "nosuch.jpg", "--gallery", place), PHOTO)
    for key, value, words in (
        ("foo", "bar", "foo: no such setting"),
        ("audit", "bar", "'bar' is not one of off, on"),
        ("search", "pgvector", "pgvector is only possible for a gallery in PostgreSQL"),
    ):
        one_line_error(run("gallery", "set", key, value, "--gallery", place), GALLERY, words)
    assert not place.exists()
    ran = run("enroll", "--tree", people, "--dry-run", "--gallery", place)
    assert ran.code == 0, ran.err
    assert not place.exists()
    failed = run("enroll", "--name", "a", no_face, "--dry-run", "--gallery", place)
    one_line_error(failed, NOTHING, "no photo was enrolled")
