"""Losses of one's own: opened at request, tried before anything else, and named in what is wrong with them."""

import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import UsageError
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.training.losses import LOSSES
from LandmarkTrainingLib.core.training.own_losses.loss_file import use_loss_file
from LandmarkTrainingLib.core.training.training_loss import TrainingLoss

SMOOTH = """
import torch

def smooth(prediction, target, weight, power=2.0):
    error = (prediction - target).abs() ** power
    return (error.mean(dim=(2, 3)) * weight).sum() / weight.sum().clamp_min(1)

def distance(prediction, target, weight):
    return ((prediction - target).norm(dim=-1) * weight).mean()

distance.kind = "points"
"""


@pytest.fixture(autouse=True)
def no_loss_stays():
    before = dict(LOSSES)
    yield
    LOSSES.clear()
    LOSSES.update(before)


@pytest.fixture
def write(tmp_path):
    def written(text, name="loss.py"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_a_function_of_a_file_is_a_loss_with_its_own_options(write):
    name, kind = use_loss_file(f"{write(SMOOTH)}:smooth")
    assert (name, kind) == ("loss.py:smooth", "heatmap")
    prediction, target = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    for power in (2.0, 1.0):
        term = {"name": name, "power": power}
        (own,) = (t for t in TrainingLoss(TrainingConfig(losses=(term,))).terms if t.name == name)
        expected = ((prediction - target).abs() ** power).mean(dim=(2, 3)).sum() / 6
        assert own.loss(prediction, target, torch.ones(2, 3)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_function_says_that_it_compares_points(write):
    name, kind = use_loss_file(f"{write(SMOOTH)}:distance")
    assert kind == "points"
    TrainingLoss(TrainingConfig(point_losses=({"name": name},)))


def test_an_unknown_option_of_ones_own_loss_is_named(write):
    name, _ = use_loss_file(f"{write(SMOOTH)}:smooth")
    with pytest.raises(UsageError, match="has no option 'p'. Its options: power"):
        TrainingLoss(TrainingConfig(losses=({"name": name, "p": 1},)))


def test_settings_alone_open_no_file(write, monkeypatch):
    path = write("raise SystemExit('executed')\n")
    monkeypatch.chdir(path.parent)
    with pytest.raises(UsageError, match=r"losses: loss.py:smooth is a loss of your own. Name its file too"):
        TrainingLoss(TrainingConfig(losses=({"name": "loss.py:smooth"},)))


@pytest.mark.parametrize(
    ("text", "function", "message"),
    [
        ("def other(a, b, c):\n    return a.mean()\n", "smooth", "has no function smooth. It has: other"),
        ("", "smooth", "has no function smooth. Define it: def smooth"),
        ("import absent_package\n", "smooth", "cannot be executed .ModuleNotFoundError: No module named 'absent"),
        ("def smooth(:\n", "smooth", "cannot be executed .SyntaxError"),
        ("def smooth(a, b):\n    return a.mean()\n", "smooth", "cannot be called with prediction, target and weight"),
        ("def smooth(a, b, c, d):\n    return a.mean()\n", "smooth", "every option with a default"),
        ("def smooth(a, b, c):\n    return a - b\n", "smooth", r"a tensor of shape \(2, 3, 8, 8\), not a scalar"),
        ("def smooth(a, b, c):\n    return 1.0\n", "smooth", "returns float, not a scalar"),
        ("def smooth(a, b, c):\n    return b.mean()\n", "smooth", "not a scalar with a gradient"),
        ("def smooth(a, b, c):\n    return (a * c).mean()\n", "smooth", "fails on a heatmap of shape .*RuntimeError"),
        ("def smooth(a, b, c):\n    return a.mean()\nsmooth.kind = 'boxes'\n", "smooth", "one of: heatmap, points"),
    ],
)
def test_what_is_wrong_with_a_loss_file_is_said_in_one_line(write, text, function, message):
    path = write(text)
    with pytest.raises(UsageError, match=message) as caught:
        use_loss_file(f"{path}:{function}")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not any(".py:" in name for name in LOSSES)


@pytest.mark.parametrize("named", ["loss.py", "loss.py:", "loss.txt:smooth", ":smooth", "loss.py:no name"])
def test_what_does_not_name_a_loss_is_refused(named):
    with pytest.raises(UsageError, match="does not name a loss. Write FILE.py:FUNCTION"):
        use_loss_file(named)


def test_a_file_that_does_not_exist_is_named():
    with pytest.raises(UsageError, match="absent.py: the file does not exist"):
        use_loss_file("absent.py:smooth")
