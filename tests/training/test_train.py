"""A run keeps what is there until it has something better, and stops when it is lost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from facesearch.core.errors import DataError, ModelError, TrainingCollapsed  # noqa: E402
from facesearch.core.progress import Silent  # noqa: E402
from facesearch.training.dataset import split_people  # noqa: E402
from facesearch.training.train import _check_health, train  # noqa: E402
from facesearch.vision.model import Model  # noqa: E402
from facesearch.vision.photo_files import people_in  # noqa: E402
from tests.support.small_training import DETECTOR_FILES, SMALL, StopAt  # noqa: E402


@pytest.mark.slow
def test_a_finished_model_stays_until_the_new_one_is_whole(album: Path, tmp_path: Path) -> None:
    out, config = tmp_path / "m", replace(SMALL, epochs=1, batches=1)
    first = train(album, out, config, DETECTOR_FILES, Silent()).fingerprint
    with pytest.raises(KeyboardInterrupt):
        train(album, out, replace(config, seed=1), DETECTOR_FILES, StopAt("epoch"), restart=True)
    assert Model(out).fingerprint == first
    progress = StopAt("measuring")
    with pytest.raises(KeyboardInterrupt):
        train(album, out, replace(config, seed=1), DETECTOR_FILES, progress, restart=True)
    assert progress.totals["finding faces"] == 0, "chips are made once"
    with pytest.raises(ModelError, match="an unfinished run is here"):
        train(album, out, replace(config, seed=1), DETECTOR_FILES, Silent())
    again = train(album, out, replace(config, seed=1), DETECTOR_FILES, Silent(), resume=True)
    assert again.fingerprint != first
    assert not (out / ".work").exists()


def test_nothing_is_lost_when_the_data_is_wrong(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    with pytest.raises(KeyboardInterrupt):
        train(album, out, SMALL, DETECTOR_FILES, StopAt("epoch 2"))
    with pytest.raises(DataError, match="no such folder"):
        train(tmp_path / "typo", out, SMALL, DETECTOR_FILES, Silent(), restart=True)
    assert (out / ".work" / "checkpoint.safetensors").exists()


def test_two_runs_do_not_share_a_folder(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"

    class Intruder(Silent):
        def start(self, stage: str, total: int) -> None:
            with pytest.raises(ModelError, match="another facesearch is training here"):
                train(album, out, SMALL, DETECTOR_FILES, Silent(), restart=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(album, out, SMALL, DETECTOR_FILES, Intruder())


def test_a_missing_device_is_refused_before_any_work(album: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(DataError, match="cuda"):
        train(album, tmp_path / "m", SMALL, DETECTOR_FILES, Silent(), device="cuda")
    assert not (tmp_path / "m").exists()


def test_lost_runs_stop_with_an_explanation() -> None:
    alike = torch.nn.functional.normalize(torch.ones(8, 4), dim=1)
    with pytest.raises(TrainingCollapsed, match="all embeddings are alike in epoch 3, batch 8"):
        _check_health(torch.tensor(1.5), alike, 2, 7)
    with pytest.raises(TrainingCollapsed, match="no number any more"):
        _check_health(torch.tensor(float("nan")), torch.eye(4), 0, 0)
    _check_health(torch.tensor(1.5), torch.eye(4), 0, 0)


@pytest.mark.slow
def test_an_absurd_rate_is_noticed(album: Path, tmp_path: Path) -> None:
    config = replace(SMALL, rate=1e12, epochs=1, batches=30)
    with pytest.raises(TrainingCollapsed):
        train(album, tmp_path / "m", config, DETECTOR_FILES, Silent())


def test_photos_without_faces_are_no_training_data(tmp_path: Path) -> None:
    from PIL import Image

    for person in range(8):
        (tmp_path / f"{person}").mkdir()
        for photo in range(3):
            picture = Image.new("RGB", (100, 100), (person * 20, photo * 20, 90))
            picture.save(tmp_path / f"{person}" / f"{photo}.png")
    with pytest.raises(DataError, match="in which a face is found"):
        train(tmp_path, tmp_path / "m", SMALL, DETECTOR_FILES, Silent())


@pytest.mark.slow
def test_the_command_line_trains_and_measures(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from facesearch import cli

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["facesearch", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0)

    name = "--name=mine"
    assert run("train", str(album), name, "--epochs=1", "--batches=2", "--size=48", "--resume") == 0
    told = capsys.readouterr()
    assert "finding faces: done" in told.err
    assert "1 photo without a usable face left out of training" in told.err
    assert [line.split()[0] for line in told.out.splitlines()] == [
        "people",
        "train",
        "validation",
        "test",
    ]
    folder = tmp_path / "models" / "mine"
    assert Model(folder).config["training"]["batches"] == 2
    assert Model(folder).config["command"].endswith("--size=48")  # the card's command needs no past
    assert run("train", str(album), name) == ModelError.exit_code
    assert "--restart" in capsys.readouterr().err

    split = split_people(album, people_in(album), 0)
    (one, photos), (other, others) = list(split.train.items())[:2]
    for person, paths in ((one, photos), (other, others)):
        for number, path in enumerate(paths, start=1):
            target = tmp_path / "lfw" / person / f"{person}_{number:04}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    listed = tmp_path / "pairs.txt"
    listed.write_text(f"2\n{one}\t1\t2\n{one}\t1\t3\n{one}\t1\t{other}\t1\n{one}\t2\t{other}\t1\n")
    data = str(tmp_path / "lfw")
    assert run("evaluate", data, "--pairs", str(listed), "--model", "mine", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert list(row)[:10] == [
        "model",
        "pairs",
        "accuracy",
        "accuracy_std",
        "f1",
        "threshold",
        "auc",
        "eer",
        "fnmr_at_fmr",
        "failed_to_detect",
    ]
    assert (row["model"], row["pairs"], row["failed_to_detect"]) == ("mine", 4, 0)
    assert set(row["fnmr_at_fmr"]) == {"0.01", "0.001", "0.0001"}
