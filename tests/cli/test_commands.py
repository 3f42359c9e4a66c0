"""The program as a whole: what it prints, where, and with which exit code."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageEnhance

from facesearch.gallery.legacy import Gallery

PHOTO, NOTHING, GALLERY, PERSON, MODEL, CALIBRATION, DATA = 4, 5, 6, 7, 8, 9, 10


@dataclass
class Ran:
    """What a run left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", "from facesearch.cli import main; main()", *map(str, arguments)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `facesearch` from another folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*arguments: str | Path, prefix: Sequence[str] = (), **options: Any) -> Ran:
        found = subprocess.run(
            [*prefix, *command(*arguments)],
            cwd=elsewhere,
            capture_output=True,
            timeout=120,
            check=False,
            **options,
        )
        decoded = (
            stream.decode(errors="surrogateescape") for stream in (found.stdout, found.stderr)
        )
        return Ran(found.returncode, *decoded)

    return run


@pytest.fixture
def query(hopper: Path, tmp_path: Path) -> Path:
    """Another file of the same portrait."""
    path = tmp_path / "query.jpg"
    ImageEnhance.Brightness(Image.open(hopper).convert("RGB")).enhance(0.85).save(path, quality=95)
    return path


def one_line_error(ran: Ran, code: int, *words: str) -> None:
    assert ran.code == code, ran
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ran.err
    assert "Traceback" not in ran.err
    for word in words:
        assert word in errors[0]


def test_the_tour(
    run: Run, hopper: Path, collins: Path, query: Path, group_photo: Path, tmp_path: Path
) -> None:
    enrolled = run("enroll", "--name", "Grace Hopper", hopper, "--json")
    assert enrolled.code == 0
    assert enrolled.lines == [
        {
            "photo": str(hopper),
            "name": "Grace Hopper",
            "status": "enrolled",
            "reason": "",
            "faces": 1,
            "held": False,
            "distance": None,
            "nearest": None,
            "other": None,
        }
    ]
    assert "1 enrolled" in enrolled.err

    picture = tmp_path / "out.png"
    named = run("identify", query, "--json", "--annotate", picture)
    assert named.code == 0
    (answer,) = named.lines
    assert list(answer)[:10] == [
        "photo",
        "face",
        "box",
        "answer",
        "name",
        "distance",
        "threshold",
        "probability",
        "reason",
        "candidates",
    ]
    assert (answer["answer"], answer["name"], answer["face"]) == ("match", "Grace Hopper", 0)
    assert 0 <= answer["distance"] <= answer["threshold"] <= 2
    assert answer["probability"] > 0.9
    assert answer["candidates"][0] == {
        "name": "Grace Hopper",
        "distance": answer["distance"],
        "photo": str(hopper),
        "face": 1,
    }
    drawn, plain = Image.open(picture).convert("RGB"), Image.open(query).convert("RGB")
    assert drawn.size == plain.size
    left, top, _, _ = answer["box"]
    assert drawn.getpixel((left, top)) == (0x1A, 0x98, 0x50), "a green frame"

    stranger = run("identify", collins, "--json")
    assert stranger.code == 1
    assert [line["answer"] for line in stranger.lines] == ["unknown"]
    assert stranger.lines[0]["name"] is None
    several = run("identify", group_photo, query, "--json")
    assert several.code == 0
    assert [line["answer"] for line in several.lines] == ["unknown"] * 3 + ["match"]
    table = run("identify", query)
    assert "Grace Hopper" in table.out
    assert "match" in table.out


def test_compare(run: Run, hopper: Path, query: Path, collins: Path, no_face: Path) -> None:
    same = run("compare", hopper, query, "--json")
    assert same.code == 0
    (row,) = same.lines
    assert list(row)[:8] == [
        "a",
        "b",
        "same",
        "answer",
        "distance",
        "threshold",
        "probability",
        "reason",
    ]
    assert (row["same"], row["answer"]) == (True, "match")
    different = run("compare", hopper, collins, "--json")
    assert (different.code, different.lines[0]["same"]) == (1, False)
    lenient = run("compare", hopper, collins, "--threshold", "2", "--json")
    assert (lenient.code, lenient.lines[0]["threshold"]) == (0, 2.0)
    nobody = run("compare", hopper, no_face, "--json")
    assert nobody.code == 1
    assert nobody.lines[0]["same"] is None
    assert nobody.lines[0]["answer"] == "unusable"
    assert nobody.lines[0]["reason"] == f"{no_face}: no face found"
    looser, stricter = (
        run("compare", hopper, query, "--fmr", rate, "--json").lines[0]["threshold"]
        for rate in ("0.1", "0.01")
    )
    assert stricter < looser
    one_line_error(run("compare", hopper, query, "--fmr", "1e-9"), CALIBRATION, "1e-09", "support")
    assert run("compare", hopper, query, "--fmr", "0.1", "--threshold", "1").code == 2


def test_people_and_gallery(run: Run, people: Path, query: Path) -> None:
    assert run("enroll", "--tree", people).code == 0
    listed = run("people", "list", "--json")
    assert [line["name"] for line in listed.lines] == [f"person-{n:02}" for n in range(6)]
    assert {line["faces"] for line in listed.lines} == {5}
    shown = run("people", "show", "person-03", "--csv")
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    assert [Path(row["photo"]).name for row in rows] == [f"pose-{n}.jpg" for n in range(5)]
    assert len(json.loads(rows[0]["box"])) == 4
    assert run("people", "rename", "person-03", "Zoë 'Z' O'Neil").code == 0
    one_line_error(run("people", "rename", "person-00", "person-01"), PERSON, "taken")
    one_line_error(run("people", "show", "person-03"), PERSON, "person-03", "nobody")
    refused = run("people", "remove", "person-00", input=b"n\n")
    assert refused.code == 1
    assert run("people", "remove", "Zoë 'Z' O'Neil", "--yes").code == 0
    (info,) = run("gallery", "info", "--json").lines
    assert (info["people"], info["faces"], info["photos"]) == (5, 25, 25)
    assert (info["model"], info["index"]) == ("default", "current")
    again = run("enroll", "--tree", people, "--json")
    statuses = [line["status"] for line in again.lines]
    assert statuses.count("duplicate") == 25
    assert statuses.count("enrolled") == 5


def test_global_options_stand_anywhere(run: Run, hopper: Path, tmp_path: Path) -> None:
    place = tmp_path / "other place"
    assert run("--gallery", place, "enroll", "--name", "Grace", hopper).code == 0
    for arguments in (
        ("--json", "--gallery", place, "people", "list"),
        ("people", "list", f"--gallery={place}", "--json"),
        ("people", "--gallery", place, "list", "--json"),
    ):
        assert [line["name"] for line in run(*arguments).lines] == ["Grace"]
    assert run("people", "list", "--json", "--csv").code == 2
    for version in (run("--version"), run("people", "--version")):
        assert (version.code, version.out.split()[0]) == (0, "facesearch")


def test_bad_input_is_one_line_and_a_code(
    run: Run, hopper: Path, no_face: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    (tmp_path / "void").mkdir()
    gone = tmp_path / "gone.jpg"
    one_line_error(run("identify", hopper), GALLERY, "no gallery here yet")
    gallery = tmp_path / "another"
    assert run("enroll", "--name", "Eve", hopper, "--gallery", gallery).code == 0
    for photo, reason in (
        (gone, "no such file"),
        (tmp_path / "void", "a folder without a photo"),
        (text, "not an image"),
        (no_face, "no face found"),
    ):
        failed = run("enroll", "--name", "a", photo)
        one_line_error(failed, NOTHING, "no photo was enrolled")
        assert reason in failed.out
    one_line_error(run("identify", gone, "--gallery", gallery), PHOTO, str(gone), "no such file")
    one_line_error(run("enroll", "--name", "", hopper), PERSON, "empty")
    one_line_error(run("enroll", "--name", "x" * 300, hopper), PERSON, "300 characters")
    one_line_error(run("enroll", "--tree", tmp_path / "void"), DATA, "no folder of photos")
    one_line_error(run("compare", hopper, text), PHOTO, str(text), "not an image")
    one_line_error(run("--model", "nobody", "compare", hopper, hopper), MODEL, "nobody")
    for usage in (
        ("enroll", hopper),
        ("enroll", "--tree", "--name", "a", hopper),
        ("identify",),
        ("nonsense",),
        ("identify", hopper, "--top", "0"),
        ("identify", hopper, "--threshold", "3"),
    ):
        assert run(*usage).code == 2
    assert run("enroll", "--name", "Grace", hopper).code == 0
    mixed = run("identify", text, hopper, "--json")
    one_line_error(mixed, PHOTO, "not an image")
    assert [line["name"] for line in mixed.lines] == ["Grace"]


@pytest.mark.parametrize(
    "name", ["Ada Lovelace", "José Ñandú", 'O\'Brien "Bob"', "\U0001f600", "<script>", "--odd--"]
)
def test_names_of_all_kinds(run: Run, hopper: Path, query: Path, name: str, tmp_path: Path) -> None:
    assert run("enroll", f"--name={name}", hopper).code == 0
    found = run("identify", query, "--json", "--annotate", tmp_path / "named.png")
    assert [line["name"] for line in found.lines] == [name]
    assert (tmp_path / "named.png").exists()
    assert name in run("people", "list").out


def test_paths_that_are_no_utf8(run: Run, hopper: Path, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9 \n"
    Path(os.fsdecode(folder)).mkdir()
    odd = Path(os.fsdecode(folder + b"/photo.jpg"))
    shutil.copy(hopper, odd)
    enrolled = run("enroll", "--name", "Grace", odd, "--json")
    assert enrolled.code == 0
    assert enrolled.lines[0]["photo"] == str(odd)
    assert run("identify", odd).code == 0
    assert run("people", "show", "Grace", "--json").lines[0]["photo"] == str(odd)


def test_annotating_several_photos(run: Run, hopper: Path, collins: Path, tmp_path: Path) -> None:
    run("enroll", "--name", "Grace", hopper)
    twin = tmp_path / "deep"
    twin.mkdir()
    shutil.copy(hopper, twin)
    out = tmp_path / "annotated"
    run("identify", hopper, collins, twin, "--annotate", out)
    assert sorted(path.name for path in out.iterdir()) == [
        "collins.jpg",
        "grace_hopper-2.jpg",
        "grace_hopper.jpg",
    ]
    bad = run("identify", hopper, "--annotate", tmp_path / "no" / "such" / "out.jpg")
    one_line_error(bad, PHOTO, "cannot be written")


def test_ctrl_c_keeps_what_was_enrolled(run: Run, people: Path, tmp_path: Path) -> None:
    photos = tmp_path / "many"
    photos.mkdir()
    source = (people / "person-00" / "pose-0.jpg").read_bytes()
    for number in range(600):
        (photos / f"{number:03}.jpg").write_bytes(source + number.to_bytes(2, "big"))
    process = subprocess.Popen(
        command("enroll", "--name", "ann", photos, "--json", "--include-doubtful"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    told = [process.stdout.readline()]  # the first batch is written
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    told += out.splitlines()
    assert process.returncode == 130
    assert "interrupted; everything written so far is kept" in err.decode()
    assert "Traceback" not in err.decode()
    (info,) = run("gallery", "info", "--json").lines
    assert len(told) <= info["faces"] < 600
    again = run("enroll", "--name", "ann", photos, "--json", "--include-doubtful")
    statuses = [line["status"] for line in again.lines]
    assert statuses.count("duplicate") == info["faces"]
    assert statuses.count("enrolled") == 600 - info["faces"]


def test_ctrl_c_in_training_can_be_resumed(run: Run, people: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    arguments = ("train", people, "--name", "mine", "--size", "48", "--epochs", "3", "--batches=2")
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(b"epoch 2"):
            break  # so that the first one is kept
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"--resume goes on" in err
    assert b"Traceback" not in err
    one_line_error(run(*arguments), MODEL, "--resume goes on, --restart begins anew")
    assert run(*arguments, "--resume", "--restart").code == 2
    resumed = run(*arguments, "--resume", "--quiet", "--json")
    assert (resumed.code, [line["people"] for line in resumed.lines]) == (
        0,
        ["train", "validation", "test"],
    )
    assert "epoch" not in resumed.err
    assert run("--model", "mine", "compare", *sorted(people.glob("person-00/*"))[:2]).code in (0, 1)


def test_quiet_says_only_what_matters(run: Run, hopper: Path, tmp_path: Path) -> None:
    """Warnings go, the result of the command stays."""
    tree = tmp_path / "tree"
    (tree / "Grace").mkdir(parents=True)
    for place in (tree, tree / "Grace"):
        shutil.copy(hopper, place / "portrait.jpg")
    loud, quiet = (
        run("enroll", "--tree", tree, "--gallery", tmp_path / name, "--json", *options)
        for name, options in (("loud", ()), ("quiet", ("--quiet",)))
    )
    assert loud.out == quiet.out
    assert "warning: 1 photo beside the folders of people: left out" in loud.err
    assert quiet.err == "1 person: 1 enrolled, 0 known already, 0 skipped, 0 held back\n"


def test_folders_whose_names_are_no_names(run: Run, people: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(people / "person-00", tree / "ann")
    shutil.copytree(people / "person-01", os.fsdecode(os.fsencode(tree) + b"/caf\xe9"))
    ran = run("enroll", "--tree", tree, "--json")
    assert ran.code == 0
    assert [line["status"] for line in ran.lines] == ["enrolled"] * 5 + ["skipped"] * 5
    assert [line["name"] for line in run("people", "list", "--json").lines] == ["ann"]


@pytest.fixture
def measured(people: Path, no_face: Path, tmp_path: Path) -> Path:
    """Drawn people in LFW's form, one with a photo without a face, one with a file that is none."""
    root = tmp_path / "measured"
    for person in sorted(people.iterdir()):
        (root / person.name).mkdir(parents=True)
        for number, photo in enumerate(sorted(person.iterdir())[:3], start=1):
            shutil.copy(photo, root / person.name / f"{person.name}_{number:04}.jpg")
    shutil.copy(no_face, root / "person-00" / "person-00_0004.jpg")
    return root


def test_evaluate_a_list_of_pairs(run: Run, measured: Path, tmp_path: Path) -> None:
    lines = ["2\t2"]
    for fold in range(2):
        lines += [f"person-0{fold}\t1\t{4 - fold}", f"person-0{fold + 2}\t2\t3"]
        lines += [f"person-0{fold}\t1\tperson-0{n}\t2" for n in (4, 5)]
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("\n".join(lines) + "\n")
    ran = run("evaluate", measured, "--pairs", pairs, "--json")
    assert ran.code == 0, ran.err
    (row,) = ran.lines
    assert list(row)[:9] == [
        "model",
        "pairs",
        "accuracy",
        "accuracy_std",
        "f1",
        "threshold",
        "auc",
        "eer",
        "fnmr_at_fmr",
    ]
    assert (row["model"], row["pairs"], row["failed_to_detect"]) == ("default", 8, 1)
    assert row["fnmr_at_fmr"] == {"0.01": None, "0.001": None, "0.0001": None}
    assert (row["genuine_pairs"], row["impostor_pairs"], row["people"]) == (4, 4, 6)
    low, high = row["intervals"]["accuracy"]
    assert low <= row["accuracy"] <= high
    assert run("evaluate", measured, "--pairs", pairs, "--people", pairs).code == 2
    assert run("evaluate", measured, "--pairs", pairs, "--protocol", "open-set").code == 2
    (measured / "person-04" / "person-04_0002.jpg").write_text("no photo")
    one_line_error(run("evaluate", measured, "--pairs", pairs), PHOTO, "not an image")


def test_evaluate_all_pairs_of_a_folder(run: Run, measured: Path, tmp_path: Path) -> None:
    (measured / "person-05" / "person-05_0003.jpg").write_text("no photo")
    report = tmp_path / "deep" / "report"
    ran = run("evaluate", measured, "--json", "--report", report)
    assert ran.code == 0, ran.err
    (row,) = ran.lines
    assert (row["genuine_pairs"], row["impostor_pairs"], row["pairs"]) == (21, 150, 171)
    assert (row["people"], row["photos"], row["failed_to_detect"]) == (6, 19, 2)
    assert "warning: 1 photo cannot be read" in ran.err
    assert set(row["intervals"]) == {"accuracy", "f1", "auc", "eer", "fnmr_at_fmr"}
    assert (row["fnmr_at_fmr"]["0.01"] is None, row["fnmr_at_fmr"]["0.001"]) == (False, None)
    files = {path.name for path in report.iterdir()}
    assert files == {"results.json", "report.md", "roc.png", "det.png", "distances.png"}
    assert json.loads((report / "results.json").read_text()) == ran.lines
    page = (report / "report.md").read_text()
    assert f"evaluate {measured} --json --report {report}`" in page
    assert f"| AUC | {row['auc']:.4f} |" in page
    chosen = tmp_path / "people.txt"
    chosen.write_text("2\nperson-02\t3\nperson-01\t3\n")
    (report / "notes.txt").write_text("mine")
    some = run("evaluate", measured, "--people", chosen, "--report", report, "--quiet")
    assert some.code == 0
    assert "pairs, genuine" in some.out
    assert (report / "notes.txt").read_text() == "mine"
    (again,) = json.loads((report / "results.json").read_text())
    assert (again["people"], again["genuine_pairs"], again["impostor_pairs"]) == (2, 6, 9)
    one_line_error(run("evaluate", measured, "--people", tmp_path / "no"), DATA, "cannot be read")
    assert run("evaluate", measured, "--enrolled", "2").code == 2


def test_evaluate_searches(run: Run, measured: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    arguments = ("evaluate", measured, "--protocol", "open-set")
    sizes = ("--enrolled", "2", "--enrolled", "4")
    ran = run(*arguments, *sizes, "--photos", "1", "--json", "--report", report)
    assert ran.code == 0, ran.err
    small, large = ran.lines
    assert list(small)[:9] == [
        "model",
        "enrolled",
        "known_probes",
        "unknown_probes",
        "rank1",
        "fnir_at_fpir",
        "intervals",
        "failed_to_detect",
        "draws",
    ]
    assert [row["enrolled"] for row in (small, large)] == [2, 4]
    assert (small["unknown_probes"], large["unknown_probes"]) == (4, 2)
    assert large["known_probes"] in (8, 9)
    assert small["fnir_at_fpir"] == {"0.1": None, "0.01": None, "0.001": None}
    assert len(large["cmc"]) == 4
    assert large["dir"][-1] == [1.0, large["rank1"]]
    assert small["failed_to_detect"] == 1
    files = {path.name for path in report.iterdir()}
    assert files == {"results.json", "report.md", "dir.png", "cmc.png"}
    assert "| 4 |" in (report / "report.md").read_text()
    chips = run(*arguments, "--enrolled", "5", "--photos", "9", "--aligned")
    assert chips.code == 0
    assert "too few probes" in chips.out
    one_line_error(run(*arguments), DATA, "6 people are too few", "--enrolled")


def test_two_at_once(run: Run, people: Path) -> None:
    jobs = [
        subprocess.Popen(command("enroll", "--name", f"person {n}", people / f"person-0{n}"))
        for n in range(3)
    ]
    assert [job.wait(timeout=120) for job in jobs] == [0, 0, 0]
    listed = run("people", "list", "--json")
    assert [(line["name"], line["faces"]) for line in listed.lines] == [
        (f"person {n}", 5) for n in range(3)
    ]


def test_a_killed_enrolment_is_put_right_by_the_next_start(
    run: Run, people: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        command("enroll", "--tree", people, "--json"), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    assert run("enroll", "--tree", people).code == 0
    (info,) = run("gallery", "info", "--json").lines
    assert (info["people"], info["faces"], info["index"]) == (6, 30, "current")


def without_rights() -> list[str]:
    """Before a command: the superuser heeds the rights of files, too."""
    if os.getuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("the tests run as root, and setpriv is not there to take its rights")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def test_a_folder_that_is_closed(run: Run) -> None:
    gallery, prefix = Path(os.environ["FACESEARCH_GALLERY"]), without_rights()
    Gallery(gallery, create=True).close()
    gallery.chmod(0)
    try:
        for arguments in (
            ("people", "list"),
            ("gallery", "doctor"),
            ("enroll", "--name", "a", "b.jpg", "--dry-run"),
        ):
            one_line_error(run(*arguments, prefix=prefix), GALLERY, "cannot be read")
    finally:
        gallery.chmod(0o755)


def test_a_folder_that_cannot_be_written(run: Run, hopper: Path, query: Path) -> None:
    gallery, prefix = Path(os.environ["FACESEARCH_GALLERY"]), without_rights()
    assert run("enroll", "--name", "Grace", hopper).code == 0
    gallery.chmod(0o555)
    for path in gallery.iterdir():
        path.chmod(0o444)
    try:
        named = run("identify", query, "--json", prefix=prefix)
        assert (named.code, named.lines[0]["name"]) == (0, "Grace"), named.err
        failed = run("enroll", "--name", "Eve", query, prefix=prefix)
        one_line_error(failed, GALLERY, "cannot be written to")
        unmade = run(
            "--gallery", gallery / "inner", "enroll", "--name", "Eve", query, prefix=prefix
        )
        one_line_error(unmade, GALLERY, "no gallery can be made here")
    finally:
        gallery.chmod(0o755)


def test_serving_never_imports_torch(run: Run, hopper: Path, query: Path) -> None:
    assert run("enroll", "--name", "Grace", hopper).code == 0
    code = (
        "import sys, facesearch.cli as cli\n"
        "try:\n    cli.main()\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'matplotlib', 'alembic'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    for arguments in (["identify", str(query)], ["compare", str(query), str(hopper)]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, facesearch.cli as cli\n"
        "try:\n    cli.main()\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'numpy', 'PIL', 'dlib', 'faiss', 'onnxruntime', 'sqlalchemy'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in (b"enroll", b"identify", b"compare", b"train", b"evaluate", b"people"):
        assert word in done.stdout


def test_training_without_torch_says_what_to_install(run: Run, people: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest)\n"
        "from facesearch.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "train", str(people)], capture_output=True, check=False
    )
    assert done.returncode == 11
    assert b"error: training needs torch: pip install 'facesearch[train]'" in done.stderr


def test_progress_bars_on_a_terminal(people: Path) -> None:
    """On a terminal stderr shows a bar; redirected results stay clean."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command("enroll", "--name", "ann", people / "person-00", "--json"),
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(follower)
    out, _ = process.communicate(timeout=60)
    time.sleep(0.1)
    shown = os.read(leader, 100_000)
    os.close(leader)
    assert b"enrolling" in shown
    assert len(out.splitlines()) == 5
    assert all(json.loads(line)["status"] == "enrolled" for line in out.splitlines())


def test_errors_that_a_user_accepts(run: Run, people: Path, hopper: Path) -> None:
    """A larger error gives a larger threshold; one that nobody can promise is refused."""
    assert run("enroll", "--tree", people).code == 0
    limits = [
        run("identify", hopper, "--fpir", rate, "--json").lines[0]["threshold"]
        for rate in ("0.01", "0.1", "0.5")
    ]
    assert limits == sorted(limits)
    assert len(set(limits)) == 3
    refused = run("identify", hopper, "--fpir", "0.00001")
    one_line_error(refused, CALIBRATION, "1e-05", "support 0.0", "calibrate with more people")


def test_the_prior_moves_the_probability_and_nothing_else(run: Run, hopper: Path) -> None:
    assert run("enroll", "--name", "Grace", hopper).code == 0
    for command in (("identify", hopper), ("compare", hopper, hopper)):
        rare, even = (
            run(*command, "--prior", prior, "--json").lines[0] for prior in ("0.000001", "0.5")
        )
        assert rare.pop("probability") < even.pop("probability")
        assert rare == even
    assert run("compare", hopper, hopper, "--prior", "1").code == 2


def test_calibrate(run: Run, people: Path, hopper: Path, no_face: Path, tmp_path: Path) -> None:
    """A shipped model's new calibration goes into the model home, and galleries go on."""
    assert run("enroll", "--name", "Grace", hopper).code == 0
    before = run("compare", hopper, hopper, "--json").lines[0]["threshold"]
    mine = tmp_path / "mine"
    shutil.copytree(people, mine)
    shutil.copy(no_face, mine / "person-00")
    done = run("calibrate", mine, "--json")
    assert done.code == 0, done
    (row,) = done.lines
    assert (row["population"], row["people"], row["smallest_fmr"]) == ("mine", 6, None)
    assert "1 photo without a usable face left out" in done.err
    after = run("compare", hopper, hopper, "--json")
    assert after.lines[0]["threshold"] != before
    assert "too few to know a false match rate" in after.err
    assert run("identify", hopper, "--threshold", "0.5").code == 0
    added = run("calibrate", people, "--add", "--json")
    assert [row["population"] for row in added.lines] == ["mine", people.name]
    whole = run("calibrate", people, "--add", "--model", "default", "--out", tmp_path / "other")
    assert whole.code == 0
    assert (tmp_path / "other" / "network.onnx").exists()
    one_line_error(run("calibrate", no_face.parent), DATA, "no folder of photos")
    one_line_error(run("calibrate", people, "--model", "nowhere"), MODEL, "no such model")


def test_calibrate_on_aligned_chips(run: Run, people: Path, tmp_path: Path) -> None:
    done = run("calibrate", people, "--aligned", "--json")
    assert (done.code, done.lines[0]["faces"]) == (0, 24)  # four of each person at most


def test_the_detector_is_chosen_and_part_of_the_gallery(
    run: Run, hopper: Path, query: Path, tmp_path: Path
) -> None:
    upside_down = tmp_path / "upside down é.png"
    Image.open(hopper).convert("RGB").rotate(180).save(upside_down)
    assert run("enroll", "--name", "Grace", hopper).code == 0
    named = run("identify", upside_down, "--json")
    assert named.code == 0, named
    assert named.lines[0]["name"] == "Grace"
    one_line_error(run("identify", query, "--detector", "dlib"), GALLERY, "--detector dlib")
    other = "--gallery", tmp_path / "by dlib"
    assert run("enroll", "--detector", "dlib", "--name", "Grace", hopper, *other).code == 0
    assert run("identify", query, "--detector=dlib", *other).code == 0
    missed = run("identify", upside_down, "--detector", "dlib", "--json", *other)
    assert (missed.code, missed.lines[0]["answer"]) == (1, "unusable")
    assert run("calibrate", tmp_path, "--detector", "dlib").code == 2


def test_small_faces_are_a_matter_of_detail(run: Run, hopper: Path, tmp_path: Path) -> None:
    """A face of some 25 pixels beside one of 130, in a photo four times as wide as is looked at."""
    wide = Image.new("RGB", (2560, 700), (90, 110, 90))
    portrait = Image.open(hopper).convert("RGB")
    wide.paste(portrait.resize((384, 450)), (100, 100))
    wide.paste(portrait.resize((80, 94)), (1900, 300))
    wide.save(tmp_path / "wide.png")
    assert run("enroll", "--name", "Grace", hopper).code == 0

    def widths(*options: str) -> list[float]:
        found = run("identify", tmp_path / "wide.png", "--json", *options).lines
        return [line["box"][2] - line["box"][0] for line in found if line["box"]]

    assert len(widths()) == 1
    (large, small) = widths("--detail", "2560")
    assert large > 100 > 40 > small
    assert widths("--detail", "2560", "--min-face", "60") == [large]


def test_a_public_network_is_imported_and_calibrated(
    run: Run, people: Path, hopper: Path, query: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="the extra `train` is not installed")
    from tests.training.test_onnx_import import network

    home = dict(os.environ, FACESEARCH_MODELS=str(tmp_path / "home é"))
    file = network(tmp_path / "some net.onnx")
    made = run("models", "import", file, "--name", "small", "--input", "rgb-1-1", env=home)
    assert made.code == 0, made
    assert "not calibrated yet" in made.err
    one_line_error(run("compare", hopper, query, "--model", "small", env=home), MODEL, "calibrate")
    assert run("calibrate", people, "--model", "small", env=home).code == 0
    assert run("compare", hopper, query, "--model", "small", env=home).code in (0, 1)
    listed = run("models", "list", "--json", env=home).lines
    calibrated = [row["name"] for row in listed if row["calibrated"]]
    assert calibrated == ["accurate", "default", "small"]
    one_line_error(run("models", "import", file, "--name", "small", env=home), MODEL, "already")
    one_line_error(run("models", "import", hopper, "--name", "x", env=home), MODEL, "no ONNX file")
    assert run("models", "import", file, "--name", "../x", env=home).code == 2
    assert run("models", "import", file, "--input", "grey", env=home).code == 2
