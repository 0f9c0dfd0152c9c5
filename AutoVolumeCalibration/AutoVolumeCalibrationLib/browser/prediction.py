"""Detection rerun for a plan that is open, in a thread: neither the scene nor the page is touched."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.anatomy.landmark import Landmark
from ..core.workflow.calibration import Calibration
from ..service.planning import warm_model


def repredicted(plan: Calibration, corrections: Sequence[Landmark]) -> Calibration:
    """The plan with all landmarks that the user did not place detected again, guided by those that the user placed.

    The model is the plan's own where it is installed, else the current one of the anatomy; it stays loaded.

    Raises:
        AutoVolumeError: one line for the user.
    """
    from ..core.models.anatomies import model_for
    from ..core.models.bundle import model_used_before
    from ..core.workflow.pipeline import repredict

    name = model_used_before(plan.model) or model_for(plan.protocol)
    model = warm_model(str(name) if name else None, "auto", "auto", "")
    return repredict(plan, corrections, model)
