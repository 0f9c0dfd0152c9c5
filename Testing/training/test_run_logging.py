"""Curves and pictures that TensorBoard and MLflow read back."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from AutoVolumeCalibrationLib.core.errors import UsageError
from LandmarkTrainingLib.core.runs.run_logging import LOGGERS, MlflowLogger, TensorBoardLogger, open_loggers


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "my-run"
    folder.mkdir()
    return folder


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "step_000500.png"
    pixels = np.zeros((20, 30, 4), dtype=np.uint8)
    pixels[..., 0], pixels[..., 3] = 200, 255
    Image.fromarray(pixels).save(path)
    return path


def events_of(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return events


def curve(events, name):
    return [(event.step, pytest.approx(event.value)) for event in events.Scalars(name)]


def test_tensorboard_reads_the_curves_and_pictures_back(run, picture):
    logger = TensorBoardLogger(run)
    logger.log_scalars(500, {"loss": 0.5, "check/median_mm": 3.25})
    logger.log_scalars(1000, {"loss": 0.25})
    logger.log_picture(500, "predictions", picture)
    logger.close()
    events = events_of(run)
    assert curve(events, "loss") == [(500, 0.5), (1000, 0.25)]
    assert curve(events, "check/median_mm") == [(500, 3.25)]
    (image,) = events.Images("predictions")
    assert (image.step, image.width, image.height) == (500, 30, 20)


def test_a_resumed_run_overwrites_what_was_logged_after_its_checkpoint(run):
    first = TensorBoardLogger(run)
    for step in (1, 2, 3):
        first.log_scalars(step, {"loss": float(step)})
    first.close()
    again = TensorBoardLogger(run, first_step=3)
    again.log_scalars(3, {"loss": 30.0})
    again.close()
    assert curve(events_of(run), "loss") == [(1, 1.0), (2, 2.0), (3, 30.0)]


class FakeTrouble(Exception):
    pass


def away(*_arguments, **_options):
    raise FakeTrouble("no route")


class FakeClient:
    """What of MLflow's client is used, with its argument names; remembers the calls of all instances."""

    calls, experiments = [], {}

    def __init__(self, tracking_uri):
        self.calls.append(("uri", tracking_uri))

    def get_experiment_by_name(self, name):
        found = self.experiments.get(name)
        return found and SimpleNamespace(experiment_id=found)

    def create_experiment(self, name):
        self.experiments[name] = "7"
        return "7"

    def create_run(self, experiment_id, run_name):
        self.calls.append(("run", experiment_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id="abc"))

    def update_run(self, run_id, status):
        self.calls.append(("update", run_id, status))

    def log_metric(self, run_id, key, value, step):
        self.calls.append(("metric", run_id, key, value, step))

    def log_artifact(self, run_id, local_path, artifact_path):
        self.calls.append(("artifact", run_id, local_path, artifact_path))

    def set_terminated(self, run_id):
        self.calls.append(("end", run_id))


@pytest.fixture
def calls(monkeypatch):
    fake = ModuleType("mlflow.tracking")
    fake.MlflowClient = FakeClient
    exceptions = ModuleType("mlflow.exceptions")
    exceptions.MlflowException = FakeTrouble
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", exceptions)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", fake)
    monkeypatch.setattr(FakeClient, "calls", [])
    monkeypatch.setattr(FakeClient, "experiments", {})
    return FakeClient.calls


def test_mlflow_gets_one_run_with_the_curves_and_pictures(run, picture, calls):
    logger = MlflowLogger(run, "http://server:5000")
    logger.log_scalars(500, {"loss": np.float32(0.5)})
    logger.log_picture(500, "predictions", picture)
    logger.close()
    assert calls == [
        ("uri", "http://server:5000"),
        ("run", "7", "my-run"),
        ("metric", "abc", "loss", 0.5, 500),
        ("artifact", "abc", str(picture), "predictions"),
        ("end", "abc"),
    ]
    assert type(calls[2][3]) is float


def test_a_resumed_run_goes_on_with_its_mlflow_run(run, calls):
    MlflowLogger(run, "x").close()
    MlflowLogger(run, "x").log_scalars(1, {"loss": 1.0})
    assert [call[0] for call in calls] == ["uri", "run", "end", "uri", "update", "metric"]
    assert ("update", "abc", "RUNNING") in calls


def test_runs_side_by_side_are_of_one_experiment_where_mlflow_itself_keeps_it(run, calls):
    MlflowLogger(run)
    other = run.with_name("other")
    other.mkdir()
    MlflowLogger(other)
    assert calls == [("uri", None), ("run", "7", "my-run"), ("uri", None), ("run", "7", "other")]


def test_a_store_that_cannot_be_used_is_named(run, calls, monkeypatch):
    monkeypatch.setattr(FakeClient, "create_experiment", away)
    with pytest.raises(UsageError, match=r"http://away: MLflow cannot be used \(no route\). Check the tracking URI"):
        MlflowLogger(run, "http://away")
    assert list(run.iterdir()) == []


def test_a_server_that_goes_away_later_does_not_end_the_training(run, picture, calls, monkeypatch, caplog):
    logger = MlflowLogger(run, "x")
    for method in ("log_metric", "log_artifact", "set_terminated"):
        monkeypatch.setattr(FakeClient, method, away)
    logger.log_scalars(1, {"loss": 1.0})
    logger.log_picture(1, "predictions", picture)
    logger.close()
    assert [record.getMessage() for record in caplog.records] == ["MLflow: no route"] * 3


def test_mlflow_itself_reads_the_run_back(run, picture, tmp_path, monkeypatch):
    tracking = pytest.importorskip("mlflow.tracking")
    # Later versions of MLflow want to be told that plain files will do.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "store").as_uri()
    for step, value in ((500, 0.5), (1000, 0.25)):
        logger = MlflowLogger(run, uri)
        logger.log_scalars(step, {"loss": value, "check/median_mm": 3.0})
        logger.log_picture(step, "predictions", picture)
        logger.close()
    client = tracking.MlflowClient(tracking_uri=uri)
    (found,) = client.search_runs([client.get_experiment_by_name("autovolume").experiment_id])
    assert [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, "loss")] == [
        (500, 0.5),
        (1000, 0.25),
    ]
    assert [f.path for f in client.list_artifacts(found.info.run_id, "predictions")] == [f"predictions/{picture.name}"]
    assert found.info.status == "FINISHED"


def test_several_loggers_all_get_everything(run, picture, calls):
    logger = open_loggers(("tensorboard", "mlflow"), run, mlflow_uri="x")
    logger.log_scalars(3, {"loss": 2.0})
    logger.log_picture(3, "predictions", picture)
    logger.close()
    assert curve(events_of(run), "loss") == [(3, 2.0)]
    assert [call[0] for call in calls] == ["uri", "run", "metric", "artifact", "end"]


def test_no_logger_writes_nothing(run, picture):
    logger = open_loggers((), run)
    logger.log_scalars(1, {"loss": 1.0})
    logger.log_picture(1, "predictions", picture)
    logger.close()
    assert list(run.iterdir()) == []


def test_an_unknown_logger_is_refused_before_any_is_opened(run):
    with pytest.raises(UsageError, match="unknown logger 'wandb'. Choose some of: tensorboard, mlflow"):
        open_loggers(("tensorboard", "wandb"), run)
    assert list(run.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "module"), [("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow.tracking")]
)
def test_a_package_that_is_absent_is_named_with_the_command_that_installs_it(name, module, run, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=f"{name} is not installed. pip install {name}"):
        open_loggers((name,), run)
    assert name in LOGGERS and list(run.iterdir()) == []
