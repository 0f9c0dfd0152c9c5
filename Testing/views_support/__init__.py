"""Real slice and 3D views for tests: Slicer's own displayable managers, drawn offscreen, with a played mouse.

Ask ``can_render()`` first: without a display and without EGL the first render window ends the process::

    with StandaloneScene(folder) as scene:
        views = open_views(scene, standalone.application_logic)
        views.show_volume(volume)
        start = views.yellow.pixel_of([0, 20, 30])
        views.yellow.drag(start, (start[0] + 15, start[1]))
        views.save(folder / "views.png")
        views.close()

Compare what the scene holds afterwards, never pixels.
"""

from views_support.rendering import can_render
from views_support.views import Views, open_views

__all__ = ["Views", "can_render", "open_views"]
