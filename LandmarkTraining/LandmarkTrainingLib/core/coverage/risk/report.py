"""How reliable the stated risk is, as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from AutoVolumeCalibrationLib.core.detection.model_limits import ModelLimits
from AutoVolumeCalibrationLib.core.planning.risk.model import RiskModel

from ...evaluation.metrics import markdown_table
from .cases import RiskCase
from .fit import FittedRisk
from .studies import NON_HEAD

#: What the studies show in which every plan is wrong, of any anatomy.
OTHER = "other bodies"

#: Edges of the table of predicted against observed.
EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)


def risk_report(fitted: FittedRisk, cases: Sequence[RiskCase]) -> str:
    """Markdown: reliability, flags, and the model itself; predictions are without the person whose plan it is.

    Args:
        cases: all of them, refused ones too.
    """
    model, planned, predicted = fitted.model, fitted.cases, fitted.left_out
    facts = model.facts
    head = np.array([case.kind != NON_HEAD for case in planned])
    return (
        f"## Predicted against observed share of wrong plans\n\n{facts['studies']} planned studies of "
        f"{facts['people']} people, {facts['wrong']} wrong; predictions by a fit without the person.\n\n"
        f"{_reliability(planned, predicted, head)}\n\n"
        f"## Flags\n\nFlagged: stated risk above {model.warning:.3f}, or another finding; error: above "
        f"{model.error:.2f}.\n\n{_flags(planned, predicted, model, cases)}\n\n"
        f"## Model\n\n{_weights(model)}\n\n"
        f"## Errors of other checks\n\n{_limits(fitted.limits)}\n"
    )


def _reliability(planned: Sequence[RiskCase], predicted: np.ndarray, head: np.ndarray) -> str:
    wrong, rows = np.array([case.wrong for case in planned]), []
    for low, high in zip(EDGES[:-1], EDGES[1:], strict=True):
        inside = head & (predicted >= low) & ((predicted < high) | (high == 1.0))
        if inside.any():
            shares = [f"{predicted[inside].mean():.1%}", f"{wrong[inside].mean():.1%}"]
            rows.append([f"{low:.0%} to {high:.0%}", int(inside.sum()), *shares])
    return markdown_table(["predicted", "plans", "mean predicted", "observed"], rows)


def _flags(planned: Sequence[RiskCase], predicted: np.ndarray, model: RiskModel, cases: Sequence[RiskCase]) -> str:
    wrong, found = np.array([case.wrong for case in planned]), np.array([bool(case.findings) for case in planned])
    by_risk = predicted > model.warning
    flagged, rows = by_risk | found, []
    for name, slices in _groups(planned):
        chosen = np.array([_belongs(case, name, slices) for case in planned])
        right, bad = chosen & ~wrong, chosen & wrong
        refused = sum(not case.planned and _belongs(case, name, slices) for case in cases)
        title = OTHER if name == NON_HEAD else name
        rows.append(
            [
                f"{title}, {slices} per plane" if slices else title,
                int(right.sum()),
                _share(by_risk, right),
                _share(flagged, right),
                int(bad.sum()),
                int((bad & ~flagged).sum()),
                int((bad & (predicted > model.error)).sum()),
                refused,
            ]
        )
    header = ["studies", "right", "flagged by risk", "flagged", "wrong", "not flagged", "risk is error", "refused"]
    return markdown_table(header, rows)


def _groups(planned: Sequence[RiskCase]) -> list[tuple[str, int]]:
    """(kind, slices) of the rows; 0 slices: any."""
    kinds = sorted({case.kind for case in planned if case.kind != NON_HEAD})
    slices = sorted({case.slices for case in planned})
    rows = [("all", count) for count in slices] + [(kind, count) for kind in kinds for count in slices]
    return [*rows, (NON_HEAD, 0)]


def _belongs(case: RiskCase, name: str, slices: int) -> bool:
    kind = case.kind == name or (name == "all" and case.kind != NON_HEAD)
    return kind and slices in (0, case.slices)


def _share(what: np.ndarray, of: np.ndarray) -> str:
    return f"{int((what & of).sum())} ({(what[of].mean() if of.any() else 0):.0%})"


def _limits(limits: ModelLimits) -> str:
    rows = [["anatomy: mean of the ten highest peaks below", f"{limits.anatomy_peak:.2f}"]]
    rows += [["shape: median distance of the points above", f"{limits.shape_mm[1]:.1f} mm"]]
    return markdown_table(["error", "limit"], rows)


def _weights(model: RiskModel) -> str:
    columns = zip(model.names, model.mean, model.sd, model.weights, strict=True)
    rows = [[name, f"{mean:.3f}", f"{sd:.3f}", f"{weight:.2f}"] for name, mean, sd, weight in columns]
    table = markdown_table(["quantity", "mean", "sd", "log odds per sd"], rows)
    return f"Log odds of a mean plan: {model.intercept:.2f}.\n\n{table}"
