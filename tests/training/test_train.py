"""Training makes whole models, goes on after a stop, repeats itself, and stops when it is lost."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from facesearch.core.errors import DataError, ModelError, TrainingCollapsed  # noqa: E402
from facesearch.core.paths import shipped_models  # noqa: E402
from facesearch.core.progress import Silent  # noqa: E402
from facesearch.matching.calibration import Calibration  # noqa: E402
from facesearch.training.dataset import split_people  # noqa: E402
from facesearch.training.losses import LossConfig  # noqa: E402
from facesearch.training.network import NetworkConfig, load_network  # noqa: E402
from facesearch.training.train import (  # noqa: E402
    Batches,
    Faces,
    TrainConfig,
    _check_health,
    _samples,
    one_cycle,
    train,
)
from facesearch.vision.embedder import Embedder  # noqa: E402
from facesearch.vision.model import Model  # noqa: E402
from facesearch.vision.photo_files import people_in  # noqa: E402

ROOT = Path(__file__).parents[2]
DETECTOR_FILES = [shipped_models() / "default" / "landmarks.dat"]
SMALL = TrainConfig(
    size=48,
    network=NetworkConfig(widths=(8, 16, 16, 32), blocks=(1, 1, 1, 1)),
    people=6,
    photos=3,
    singles=2,
    epochs=2,
    batches=6,
)


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten invented people with three photos each and four with one; one photo shows nobody."""
    from PIL import Image

    from tests.support.drawn import portrait

    root = tmp_path_factory.mktemp("album")
    for person in range(14):
        folder = root / f"person-{person:02}"
        folder.mkdir()
        for pose in range(3 if person < 10 else 1):
            portrait(person, pose, size=200).save(folder / f"{pose}.png")
    Image.new("RGB", (200, 200), "grey").save(root / "person-00" / "wall.png")
    return root


@pytest.fixture(scope="module")
def model(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    out = tmp_path_factory.mktemp("models") / "mine"
    return train(album, out, SMALL, DETECTOR_FILES, Silent(), command="facesearch train album")


def test_a_run_leaves_a_whole_model(model: Model, album: Path) -> None:
    assert sorted(path.name for path in model.folder.iterdir()) == [
        "calibration.json",
        "card.md",
        "cohort.safetensors",
        "config.json",
        "landmarks.dat",
        "landmarks.json",
        "left_out.txt",
        "network.onnx",
        "network.safetensors",
        "report",
    ]
    record = model.config
    assert record["training"]["seed"] == 0
    assert record["data"]["people"] == {"train": 10, "validation": 2, "test": 2}
    assert record["data"]["left_out"] == 1
    assert "wall.png: no usable face" in (model.folder / "left_out.txt").read_text()
    card = (model.folder / "card.md").read_text()
    assert "facesearch train album" in card
    assert "mean error 3.69% of the eye distance on 3,576 faces" in card
    page = (model.folder / "report" / "report.md").read_text()
    shown = [line.split("](")[1].rstrip(")") for line in page.splitlines() if line[:2] == "!["]
    assert sorted(shown) == sorted(
        path.name for path in (model.folder / "report").iterdir() if path.suffix == ".png"
    )
    results = json.loads((model.folder / "report" / "results.json").read_text())
    assert [row["people"] for row in results] == ["train", "validation", "test"]
    for row in results:
        assert f"| {row['people']} | {row['pairs']} | {row['f1']:.3f} |" in page
    assert {"loss.png", "roc.png", "det.png", "distances.png", "pairs-test.png"} <= set(shown)
    for part in ("train", "validation", "test"):
        assert f"| {part} |" in page
    assert Calibration.load(model.folder / "calibration.json").people == 2


def test_the_graph_and_the_weights_agree(model: Model, album: Path) -> None:
    network = load_network(SMALL.network, SMALL.size, model.folder / "network.safetensors")
    chips = Embedder(model).read(album / "person-01" / "0.png").chips
    with torch.no_grad():
        pixels = (torch.from_numpy(chips).permute(0, 3, 1, 2).float() - 127.5) / 127.5
        both = network(pixels) + network(pixels.flip(3))
        expected = torch.nn.functional.normalize(both, dim=1).numpy()
    assert np.abs(model.embed(chips) - expected).max() < 1e-4


def test_a_shipped_model_shows_no_pictures(album: Path, tmp_path: Path) -> None:
    config = replace(SMALL, epochs=1, batches=1)
    made = train(album, tmp_path / "m", config, DETECTOR_FILES, Silent(), pictures=False)
    names = {path.name for path in (made.folder / "report").iterdir()}
    assert names == {
        "report.md",
        "results.json",
        "loss.png",
        "roc.png",
        "det.png",
        "distances.png",
    }


class StopAt(Silent):
    """Ctrl-C when a stage begins."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.totals: dict[str, int] = {}

    def start(self, stage: str, total: int) -> None:
        self.totals[stage] = total
        if stage.startswith(self.stage):
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "cost",
    [
        LossConfig(mining="memory", memory=40, warmup=4, identity=0.1),
        LossConfig("triplet", "random"),
    ],
)
def test_a_stopped_run_keeps_what_its_loss_remembers(
    album: Path, tmp_path: Path, cost: LossConfig
) -> None:
    config = replace(SMALL, cost=cost)
    whole = train(album, tmp_path / "whole", config, DETECTOR_FILES, Silent())
    with pytest.raises(KeyboardInterrupt):
        train(album, tmp_path / "m", config, DETECTOR_FILES, StopAt("epoch 2"))
    resumed = train(album, tmp_path / "m", config, DETECTOR_FILES, Silent(), resume=True)
    chips = Embedder(whole).read(album / "person-01" / "0.png").chips
    assert np.abs(resumed.embed(chips) - whole.embed(chips)).max() < 1e-3
    assert f"the {cost.loss} loss" in (whole.folder / "card.md").read_text()


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def test_two_processes_share_a_batch_and_its_gradient() -> None:
    done = torchrun(str(ROOT / "tests" / "support" / "two_processes.py"))
    assert done.returncode == 0, done.stderr


def test_two_processes_make_one_model(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    program = Path(sys.executable).with_name("facesearch")
    options = ["--epochs=2", "--batches=3", "--size=48", f"--out={out}", "--identity=0.1"]
    done = torchrun("--no-python", str(program), "train", str(album), *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("validation") == 1, "the first process reports"
    assert len((out / "left_out.txt").read_text().splitlines()) == 1
    made = Model(out)
    assert made.config["training"]["cost"]["identity"] == 0.1
    assert made.config["data"]["people"] == {"train": 10, "validation": 2, "test": 2}


def test_a_stopped_run_goes_on_as_if_nothing_had_been(
    album: Path, tmp_path: Path, model: Model
) -> None:
    out = tmp_path / "m"
    with pytest.raises(KeyboardInterrupt):
        train(album, out, SMALL, DETECTOR_FILES, StopAt("epoch 2"))
    with pytest.raises(ModelError, match="no model"):
        Model(out)
    with pytest.raises(ModelError, match="--resume goes on"):
        train(album, out, SMALL, DETECTOR_FILES, Silent())
    with pytest.raises(ModelError, match="begun with other settings"):
        train(album, out, replace(SMALL, rate=1e-4), DETECTOR_FILES, Silent(), resume=True)
    fewer = tmp_path / "album"
    shutil.copytree(album, fewer)
    (fewer / "person-03" / "2.png").unlink()
    with pytest.raises(ModelError, match="begun with other photos"):
        train(fewer, out, SMALL, DETECTOR_FILES, Silent(), resume=True)
    with pytest.raises(KeyboardInterrupt):  # and once more, after the last epoch
        train(album, out, SMALL, DETECTOR_FILES, StopAt("measuring"), resume=True)
    resumed = train(album, out, SMALL, DETECTOR_FILES, Silent(), resume=True)
    chips = Embedder(model).read(album / "person-01" / "0.png").chips
    assert np.abs(resumed.embed(chips) - model.embed(chips)).max() < 1e-3
    with pytest.raises(ModelError, match="is finished"):
        train(album, out, SMALL, DETECTOR_FILES, Silent())


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


def test_impossible_settings_are_refused_before_any_work(album: Path, tmp_path: Path) -> None:
    for bad in ({"size": 50}, {"size": 16}, {"rate": 0.0}, {"rate": float("nan")}):
        with pytest.raises(DataError):
            replace(SMALL, **bad)
    if not torch.cuda.is_available():
        with pytest.raises(DataError, match="cuda"):
            train(album, tmp_path / "m", SMALL, DETECTOR_FILES, Silent(), device="cuda")
        assert not (tmp_path / "m").exists()


def test_a_damaged_checkpoint_is_a_named_error(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    with pytest.raises(KeyboardInterrupt):
        train(album, out, SMALL, DETECTOR_FILES, StopAt("epoch 2"))
    checkpoint = out / ".work" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged; --restart begins anew"):
        train(album, out, SMALL, DETECTOR_FILES, Silent(), resume=True)


def test_sample_pairs_are_what_they_are_said_to_be() -> None:
    crowd = faces()
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(len(crowd), 8)).astype(np.float32)
    shown = _samples("test", crowd, embeddings, SMALL, count=5)
    colours = [side[:, 0, 0, 0] // 30 for side in (shown.first, shown.second)]
    assert shown.same.tolist() == [True] * 5 + [False] * 5
    assert (colours[0] == colours[1]).tolist() == shown.same.tolist()
    assert shown.first.shape == (10, 48, 48, 3)


def faces() -> Faces:
    """Eight people: four with four chips, four with one; a chip's colour tells whose it is."""
    people = np.array([0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [4, 5, 6, 7])
    chips = np.repeat(people[:, None, None, None] * 30, 64 * 64 * 3, axis=1)
    return Faces(chips.reshape(-1, 64, 64, 3).astype(np.uint8), np.arange(len(people)), people)


def test_batches_repeat_with_the_seed_and_nothing_else() -> None:
    config = replace(SMALL, people=3, photos=2, singles=2)
    first, second = Batches(faces(), config, epoch=4), Batches(faces(), config, epoch=4)
    second[1]  # what was drawn before does not matter
    torch.rand(5)
    for a, b in zip(first[3], second[3], strict=True):
        assert torch.equal(a, b)
    for other in (
        Batches(faces(), config, epoch=5)[3],
        first[2],
        Batches(faces(), replace(config, seed=1), epoch=4)[3],
    ):
        assert not torch.equal(first[3][0], other[0])


def test_a_batch_holds_people_photos_and_singles() -> None:
    chips, people = Batches(faces(), replace(SMALL, people=3, photos=3, singles=2), epoch=0)[0]
    assert chips.shape == (11, 3, 48, 48)
    assert chips.dtype == torch.float32
    counts = sorted(np.bincount(people).tolist(), reverse=True)[:5]
    assert counts == [3, 3, 3, 1, 1]
    assert set(people[-2:].tolist()) <= {4, 5, 6, 7}
    few = Batches(faces(), replace(SMALL, people=2, photos=6, singles=0), epoch=0)[0][1]
    assert sorted(np.bincount(few)[np.bincount(few) > 0].tolist()) == [6, 6]


def test_lost_runs_stop_with_an_explanation() -> None:
    alike = torch.nn.functional.normalize(torch.ones(8, 4), dim=1)
    with pytest.raises(TrainingCollapsed, match="all embeddings are alike in epoch 3, batch 8"):
        _check_health(torch.tensor(1.5), alike, 2, 7)
    with pytest.raises(TrainingCollapsed, match="no number any more"):
        _check_health(torch.tensor(float("nan")), torch.eye(4), 0, 0)
    _check_health(torch.tensor(1.5), torch.eye(4), 0, 0)


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


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [one_cycle(step / 1000) for step in range(1001)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(1)
    assert peak == pytest.approx(200, abs=2)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


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
    assert "1 photos without a usable face were left out" in told.err
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
