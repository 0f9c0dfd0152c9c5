"""Curves and pictures of a run for TensorBoard and MLflow, besides the run's own log."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text

logger = logging.getLogger(__name__)


class RunLogger(Protocol):
    """Receives the scalars and pictures of a run."""

    def log_scalars(self, step: int, values: Mapping[str, float]) -> None: ...

    def log_picture(self, step: int, name: str, path: Path) -> None:
        """Keep the PNG at ``path`` as picture ``name`` of this step."""

    def close(self) -> None:
        """Write what is still in memory; nothing can be logged afterwards."""


def scalars(line: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a line of the log that make a curve: names, lists and the count of steps do not."""
    kept = {key: value for key, value in line.items() if isinstance(value, (int, float))}
    return {key: value for key, value in kept.items() if key not in ("step", "steps")}


class TensorBoardLogger:
    """Event files in RUN/tensorboard; view them with ``tensorboard --logdir RUN``.

    Args:
        run: folder of the run.
        first_step: of a resumed run the step it goes on from; TensorBoard forgets what was logged from there on.

    Raises:
        UsageError: the package tensorboard is not installed.
    """

    def __init__(self, run: Path, first_step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise _not_installed("tensorboard") from error
        self._writer = SummaryWriter(run / "tensorboard", purge_step=first_step or None)

    def log_scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def log_picture(self, step: int, name: str, path: Path) -> None:
        from matplotlib.image import imread

        self._writer.add_image(name, imread(path)[..., :3], step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class MlflowLogger:
    """One MLflow run per run folder, which a resumed run goes on with.

    Args:
        run: folder of the run; its name becomes the run's name, ``mlflow_run.txt`` in it keeps the run's id.
        uri: tracking URI of MLflow (a server, ``sqlite:///...`` or ``file:...``); MLflow's own setting when None.
        experiment: of MLflow, made where there is none of this name.

    Raises:
        UsageError: the package mlflow is not installed, or the store cannot be used.
    """

    def __init__(self, run: Path, uri: str | None = None, experiment: str = "autovolume") -> None:
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise _not_installed("mlflow") from error
        self._mlflow_error = MlflowException
        try:
            self._client = MlflowClient(tracking_uri=uri)
            self._run_id = self._kept_or_new_run(run, experiment)
        except MlflowException as error:
            remedy = "Check the tracking URI, or log without mlflow."
            raise UsageError(f"MLflow cannot be used ({error})", source=uri, remedy=remedy) from error

    def log_scalars(self, step: int, values: Mapping[str, float]) -> None:
        with self._errors_as_warnings():
            for name, value in values.items():
                self._client.log_metric(self._run_id, name, float(value), step=step)

    def log_picture(self, step: int, name: str, path: Path) -> None:
        # Artifacts have no steps: the file name (step_000500.png) distinguishes them.
        with self._errors_as_warnings():
            self._client.log_artifact(self._run_id, str(path), name)

    def close(self) -> None:
        with self._errors_as_warnings():
            self._client.set_terminated(self._run_id)

    @contextmanager
    def _errors_as_warnings(self) -> Iterator[None]:
        """Training goes on when the server is unreachable: the run's own log holds everything too."""
        try:
            yield
        except self._mlflow_error as error:
            logger.warning("MLflow: %s", error)

    def _kept_or_new_run(self, run: Path, experiment: str) -> str:
        kept = run / "mlflow_run.txt"
        if kept.exists():
            run_id = kept.read_text(encoding="utf-8").strip()
            self._client.update_run(run_id, status="RUNNING")
            return run_id
        found = self._client.get_experiment_by_name(experiment)
        experiment_id = found.experiment_id if found else self._client.create_experiment(experiment)
        run_id = self._client.create_run(experiment_id, run_name=run.name).info.run_id
        write_text(kept, run_id + "\n")
        return run_id


class CombinedLogger:
    """Forwards everything to each of several loggers; with none it does nothing."""

    def __init__(self, loggers: Sequence[RunLogger]) -> None:
        self.loggers = tuple(loggers)

    def log_scalars(self, step: int, values: Mapping[str, float]) -> None:
        for each in self.loggers:
            each.log_scalars(step, values)

    def log_picture(self, step: int, name: str, path: Path) -> None:
        for each in self.loggers:
            each.log_picture(step, name, path)

    def close(self) -> None:
        for each in self.loggers:
            each.close()


#: Names that ``open_loggers`` accepts.
LOGGERS = ("tensorboard", "mlflow")


def open_loggers(
    names: Sequence[str], run: Path, *, first_step: int = 0, mlflow_uri: str | None = None
) -> CombinedLogger:
    """The named loggers of the run in folder ``run``, as one.

    Args:
        names: some of ``LOGGERS``, or none.
        first_step: step that a resumed run goes on from.
        mlflow_uri: tracking URI of MLflow, see ``MlflowLogger``.

    Raises:
        UsageError: a name is unknown, or its package is not installed.
    """
    make: dict[str, Any] = {
        "tensorboard": lambda: TensorBoardLogger(run, first_step),
        "mlflow": lambda: MlflowLogger(run, mlflow_uri),
    }
    for name in names:
        if name not in make:
            raise UsageError(f"unknown logger {name!r}", remedy=f"Choose some of: {', '.join(LOGGERS)}.")
    return CombinedLogger([make[name]() for name in names])


def _not_installed(package: str) -> UsageError:
    return UsageError(f"the package {package} is not installed", remedy=f"pip install {package}, or log without it.")
