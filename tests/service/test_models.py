"""What a service says about its gallery and its models."""

from facesearch.service.routes.models import realised
from tests.support.serving import Running


def test_it_says_what_it_is_made_of(service: Running) -> None:
    info = service.get("/v1/gallery")
    assert (info["folder"], info["model"], info["index"]) == ("gallery", "default", "current")
    listed = {each["name"]: each for each in service.get("/v1/models")["models"]}
    assert listed["default"]["current"]
    assert not listed["accurate"]["current"]
    model = service.get("/v1/models/current")
    assert model["card"].startswith("# Model card")
    calibration = model["calibration"]
    assert calibration["fmr"] == 0.001
    for part in calibration["populations"]:
        assert len(part["curve"]) == len(calibration["bins"]) == len(part["genuine_histogram"]) + 1
        assert sum(part["impostor_histogram"]) == part["impostor_pairs"]
        assert part["curve"][0][1:] == [0, 1]
        assert part["curve"][-1][1:] == [1, 0]
        false = [point[1] for point in part["curve"]]
        assert false == sorted(false)
    one = {"people": "press", "gallery": None, "rate": "FMR", "requested": 0.1}
    assert {**one, "realised": 0.044, "missed": 0.002} in model["realised"]
    large = {"people": "press", "gallery": "1,000", "rate": "FPIR", "requested": 0.01}
    assert {**large, "realised": 0.0038, "missed": 0.223} in model["realised"]
    assert realised("| a | FMR 0.1: FMR, FNMR |\n|---|---|\n| x | refused |\n") == []
