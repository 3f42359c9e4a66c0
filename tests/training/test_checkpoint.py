"""A stopped run goes on as if nothing had been; no other run's checkpoint is taken."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from facesearch.core.errors import ModelError  # noqa: E402
from facesearch.core.progress import Silent  # noqa: E402
from facesearch.training.checkpoint import Run, one_cycle  # noqa: E402
from facesearch.training.losses import LossConfig  # noqa: E402
from facesearch.training.train import train  # noqa: E402
from facesearch.vision.embedder import Embedder  # noqa: E402
from facesearch.vision.model import Model  # noqa: E402
from tests.support.small_training import DETECTOR_FILES, SMALL, StopAt  # noqa: E402


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


@pytest.mark.parametrize(
    "cost",
    [
        LossConfig(mining="memory", memory=40, warmup=4, identity=0.1),
        LossConfig("triplet", "random"),
    ],
)
@pytest.mark.slow
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


def test_a_damaged_checkpoint_is_a_named_error(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    with pytest.raises(KeyboardInterrupt):
        train(album, out, SMALL, DETECTOR_FILES, StopAt("epoch 2"))
    checkpoint = out / ".work" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ModelError, match="damaged; --restart begins anew"):
        train(album, out, SMALL, DETECTOR_FILES, Silent(), resume=True)


def test_the_learning_rate_rises_and_falls() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    schedule = one_cycle(optimizer, 2.0, 1000)
    rates = []
    for _ in range(1000):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(2)
    assert rates[0] == pytest.approx(2 / 25)
    assert peak == pytest.approx(200, abs=2)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("steps", [1, 5, 12])
def test_a_resumed_schedule_goes_on_where_it_was(steps: int) -> None:
    def rates(done: int) -> list[float]:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
        if done:  # as a checkpoint restores them
            optimizer.load_state_dict(kept)
        schedule = one_cycle(optimizer, 2.0, steps, done)
        found = []
        for _ in range(done, steps):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return found

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    one_cycle(optimizer, 2.0, steps)
    kept = optimizer.state_dict()
    whole = rates(0)
    assert rates(steps // 2) == pytest.approx(whole[steps // 2 :])


def test_the_mean_of_the_weights_follows_them_at_first_quickly() -> None:
    """Against the formula, step by step: a decay of (1 + n) / (10 + n), at most `averaging`."""
    config = replace(SMALL, averaging=0.5)
    run = Run.begun(config, 3, torch.device("cpu"))
    weight, mean = run.network.stem[0].weight, run.embedder.stem[0].weight
    for step in range(20):
        with torch.no_grad():
            weight.add_(1.0)
        decay = 0.0 if step == 0 else min(0.5, (1 + step) / (10 + step))
        expected = decay * mean + (1 - decay) * weight
        run.average.update_parameters(run.network)
        assert torch.allclose(mean, expected)


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    run = Run.begun(SMALL, 3, torch.device("cpu"))
    origin = {"config": "a", "data": "b", "split": "c"}
    run.save(tmp_path / "one", origin)
    save_file(load_file(tmp_path / "one"), tmp_path / "two", origin)
    with pytest.raises(ModelError, match="another version of facesearch; --restart"):
        run.load(tmp_path / "two", origin)
