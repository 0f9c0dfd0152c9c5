"""The plan on a scene with its views, and what the user's buttons do; drag, refit and undo are the scene's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from ..core.errors import AutoVolumeError
from ..core.geometry.coordinates import PLANES
from ..core.storage.results import SCENE_FILE
from ..core.workflow.calibration import Calibration
from ..mrml.editing.current_study import CurrentStudy
from ..mrml.editing.saving import save_plan
from ..mrml.engine import CalibrationEngine
from ..mrml.slice_views import VIEW_OF_PLANE, jump_to, show_scouts, start_place_mode
from ..mrml.standalone import StandaloneScene
from .landmark_rows import position_of
from .opened import OpenedPlan
from .prediction import repredicted
from .slice_view import SliceView


def _next_turn(call: Callable[[], None]) -> None:
    """Run ``call`` in the next turn of the event loop."""
    asyncio.get_running_loop().call_soon(call)


class Desk:
    """One plan, open on three slice views. Made inside the running event loop.

    Attributes:
        views: plane -> its slice view.
        current: the study, see ``CurrentStudy``.
        status: the last thing that was done or went wrong, for the user.
        busy: what runs now, empty where nothing does.
        on_change: called after any of these changed.
    """

    def __init__(self, opened: OpenedPlan, folder: Path) -> None:
        """``folder`` exists, for scratch files."""
        self._opened = opened
        self._standalone = StandaloneScene(folder)
        scene, logic = self._standalone.scene, self._standalone.application_logic
        self.views = {plane: SliceView(scene, logic, VIEW_OF_PLANE[plane], plane.capitalize()) for plane in PLANES}
        self.status = self.busy = ""
        self.saved: Calibration | None = opened.calibration if opened.folder else None
        self.on_change: Callable[[], None] = lambda: None
        engine = CalibrationEngine(scene)
        study = engine.add_stacks(opened.calibration.stacks)
        engine.show(study, opened.calibration)
        self.current = CurrentStudy(engine, _next_turn, self._on_error, folder / "protocols")
        self.current.select(study)
        self.current.changed.connect(self._changed)
        self.show_handles(False)
        show_scouts(study, logic, opened.calibration.frame.origin_mm)

    @property
    def plan(self) -> Calibration:
        """The plan as it is now."""
        return self.current.require_calibration()

    @property
    def can_save(self) -> bool:
        """Whether there is a folder to save in."""
        return self._opened.folder is not None

    async def close(self) -> None:
        """Close the views, then the scene."""
        self.current.close()
        for view in self.views.values():
            await view.close()
        self._standalone.close()

    def undo(self) -> None:
        if self.current.can_undo:
            self._do(self.current.undo)

    def redo(self) -> None:
        if self.current.can_redo:
            self._do(self.current.redo)

    def restore(self, name: str | None = None) -> None:
        """Revert the corrections of one landmark, or of all."""
        self._do(lambda: self.current.restore(name))

    def show_handles(self, shown: bool) -> None:
        """Let the mouse move the box; else its handles would lie over landmarks and catch the mouse."""
        box = self.current.require_study().scan_box
        if box is None:
            return
        box.GetDisplayNode().SetHandlesInteractive(shown)
        box.SetLocked(not shown)  # its middle can be dragged without a handle
        for point in range(box.GetNumberOfControlPoints()):  # the middle looks like a landmark
            box.SetNthControlPointVisibility(point, shown)

    def show(self, name: str) -> None:
        """Move the views to a landmark, or to where it is expected."""
        jump_to(self._standalone.scene, position_of(name, self.plan))

    def place(self, name: str) -> None:
        """The next click in a view places the landmark."""
        self._do(lambda: self.current.start_placing(name))
        start_place_mode(self.current.require_landmarks())
        self.say(f"Click the position of {name} in a view.")

    async def repredict(self) -> None:
        """Rerun detection in a thread, guided by the user's landmarks; the views answer meanwhile."""
        study, plan = self.current.require_study(), self.plan
        corrections = self.current.engine.corrections(study)
        if self.busy or not corrections:
            return
        self.say("", busy="Rerunning detection ...")
        try:
            found = await asyncio.to_thread(repredicted, plan, corrections)
            self.current.show_found(study, found, corrections)
        except AutoVolumeError as error:
            self.say(str(error))
        else:
            self.say("Detection was rerun, guided by your landmarks. Undo reverts this.")

    async def save(self) -> None:
        """Write the plan into its folder, in place of the one that was opened."""
        folder = self._opened.folder
        if folder is None or self.busy:
            return
        self.say("", busy="Saving ...")
        await asyncio.sleep(0.1)  # the browser shows that before the picture is drawn
        plan = self.plan
        try:
            save_plan(
                plan,
                folder,
                study=self._opened.study,
                sources=self._opened.sources,
                with_picture=True,
                with_scene=(folder / SCENE_FILE).exists(),  # it would show an old plan
            )
        except AutoVolumeError as error:
            self.say(str(error))
        else:
            self.saved = plan
            self.say(f"Saved in {folder}.")

    def say(self, status: str, busy: str = "") -> None:
        """Show a line to the user."""
        self.status, self.busy = status, busy
        self.on_change()

    def _do(self, change: Callable[[], None]) -> None:
        self.status = ""
        try:
            change()
        except AutoVolumeError as error:
            self._on_error(error)

    def _on_error(self, error: AutoVolumeError) -> None:
        self.status = str(error)
        self.on_change()

    def _changed(self) -> None:
        if not self.busy:
            self.status = ""
        self.on_change()
