"""The page: three views, the landmarks, the checks and the console card."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from trame.ui.html import DivLayout
from trame.widgets import client, html
from trame_rca.widgets.rca import RemoteControlledArea

from ..core.files.resources import resource_path
from ..mrml.slice_views import VIEW_OF_PLANE
from .desk import Desk
from .page_state import first_vendor, page_state

#: The order of the views on the page.
_ORDER = ("sagittal", "coronal", "axial")
#: While a point is dragged, the numbers follow at most so often.
_NUMBERS_EVERY_S = 0.1
_MOUSE_EVERY_MS = 10


class Page:
    """Builds the page and keeps it in step with the desk.

    Args:
        server: trame's, not started yet.
    """

    def __init__(self, server: Any, desk: Desk) -> None:
        self._server, self._desk, self._due = server, desk, False
        self._tasks: set[asyncio.Task[None]] = set()
        server.state.trame__title = "Scan plan"
        server.state.vendor = first_vendor(desk.plan)
        server.state.update(page_state(desk))
        server.state.handles = False
        server.state.change("handles")(lambda handles, **_: desk.show_handles(bool(handles)))
        desk.on_change = self._schedule
        self._build()

    def _schedule(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(_NUMBERS_EVERY_S, self._show)

    def _show(self) -> None:
        self._due = False
        with self._server.state as state:
            state.update(page_state(self._desk))

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """A click that starts ``work`` and does not wait for it."""

        def click() -> None:
            task = asyncio.get_running_loop().create_task(work())
            self._tasks.add(task)  # the loop itself keeps no hold of it
            task.add_done_callback(self._tasks.discard)

        return click

    def _build(self) -> None:
        with DivLayout(self._server) as page:
            page.root.classes = "plan"
            client.Style(resource_path("Page", "view.css").read_text(encoding="utf-8"))
            with html.Div(classes="views"):
                for plane in _ORDER:
                    self._view(plane)
                self._card()
            with html.Div(classes="side"):
                html.H1("{{ verdict }}", id="verdict", style=("{borderColor: verdict_color}",))
                html.P("{{ plan_title }}<template v-if='risk'>. {{ risk }}.</template>", classes="small")
                self._buttons()
                html.P("{{ status }}", id="status", v_if="status")
                self._landmarks()
                with html.Div(id="checks"):
                    html.P(
                        "{{ check.text }}", v_for="check, i in checks", key="i", style=("{borderColor: check.color}",)
                    )

    def _view(self, plane: str) -> None:
        with html.Div(classes="view", id=plane):
            RemoteControlledArea(
                name=VIEW_OF_PLANE[plane].lower(),
                display="image",
                send_mouse_move=True,
                event_throttle_ms=(str(_MOUSE_EVERY_MS),),
                style="position:relative;width:100%;height:100%",
            )
            html.Span(plane, classes="plane")
            html.Span(f"{{{{ sides.{plane}[0] }}}}", classes="patient left")
            html.Span(f"{{{{ sides.{plane}[1] }}}}", classes="patient right")

    def _buttons(self) -> None:
        desk = self._desk
        with html.Div(classes="buttons"):
            html.Button("Undo", id="undo", click=desk.undo, disabled=("busy || !can_undo",))
            html.Button("Redo", id="redo", click=desk.redo, disabled=("busy || !can_redo",))
            html.Button("Revert all", id="restore", click=desk.restore, disabled=("busy || !corrected",))
            html.Button(
                "Re-predict",
                id="repredict",
                click=self._start(desk.repredict),
                disabled=("busy || !corrected",),
                title="Rerun detection for all landmarks that you did not place, guided by yours",
            )
            html.Button(
                "Save{{ unsaved ? ' *' : '' }}",
                id="save",
                click=self._start(desk.save),
                disabled=("busy || !can_save",),
                title=("can_save ? 'Replace the plan in its folder' : 'Start the command with --output to save'",),
            )

        with html.Label(title="Show the handles with which the box is moved, turned and resized"):
            html.Input(id="handles", type="checkbox", v_model="handles")
            html.Span(" Move the box with the mouse")

    def _landmarks(self) -> None:
        desk = self._desk
        with html.Div(classes="landmarks"), html.Table(id="landmarks"), html.Tr(v_for="row in rows", key="row.name"):
            with html.Td(click=(desk.show, "[row.name]"), title=("row.title",)):
                html.B("{{ row.name }}", style=("{borderColor: row.color}",))
            html.Td("{{ row.status }}", click=(desk.show, "[row.name]"))
            with html.Td():
                html.Button("Place", v_if="row.missing", click=(desk.place, "[row.name]"), disabled=("busy",))
                html.Button("Revert", v_else_if="row.changed", click=(desk.restore, "[row.name]"), disabled=("busy",))

    def _card(self) -> None:
        with html.Div(classes="card", id="card"):
            with html.Select(v_model="vendor"):
                html.Option("{{ card.vendor }}", v_for="card in cards", key="card.vendor", value=("card.vendor",))
            with html.Div(v_for="card in cards.filter(one => one.vendor == vendor)", key="card.vendor"):
                html.H2("{{ card.title }}")
                with html.Table(), html.Tr(v_for="line in card.lines", key="line[0]"):
                    html.Th("{{ line[0] }}")
                    html.Td("{{ line[1] }}")
                html.P("{{ note }}", v_for="note, i in card.notes", key="i", classes="small")
                html.P("Evidence: {{ card.evidence }}", classes="small")
