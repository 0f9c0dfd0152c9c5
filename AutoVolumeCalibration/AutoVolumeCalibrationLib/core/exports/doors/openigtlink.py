"""The plan as OpenIGTLink messages: 3D Slicer, scanner bridges and navigation systems take them. RAS mm."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ...errors import UsageError
from ...geometry.coordinates import swap_ras_lps
from ...geometry.oriented_box import OrientedBox
from ..extras import needing
from ..scan_geometry import ScanGeometry

#: The port of IANA, and Slicer's default.
PORT = 18944
#: Time to connect, and for the peer to read, s.
_CONNECT_S, _SETTLE_S = 5.0, 0.2

#: Message of each plane -> which of read, phase and slice are its in-plane axes and its normal.
_PLANES = {"PLANE_0": (0, 1, 2), "PLANE_1": (1, 2, 0), "PLANE_2": (2, 0, 1)}
BOX = "SCANBOX"


def plan_transforms(geometry: ScanGeometry, box: OrientedBox) -> dict[str, np.ndarray]:
    """Message name -> (4, 4) RAS.

    ``PLANE_0`` is the planned slice plane, ``PLANE_1`` and ``PLANE_2`` the planes across it. Their columns are the two
    in-plane directions and the normal, unit vectors, and the middle of the slab. ``SCANBOX`` maps the cube from -0.5 to
    0.5 to the box: its columns are the box's edges towards right, anterior and superior, in mm, and its centre.
    """
    directions = swap_ras_lps(geometry.directions)
    center = swap_ras_lps(geometry.center_mm)
    planes = {name: _matrix(directions[list(order)], center) for name, order in _PLANES.items()}
    return {**planes, BOX: _matrix(box.axes * box.size_mm[:, None], box.center_mm)}


def box_of_transform(matrix: np.ndarray, name: str) -> OrientedBox:
    """The box of a ``SCANBOX`` message (4, 4)."""
    edges = np.asarray(matrix, dtype=float)[:3, :3].T
    size = np.linalg.norm(edges, axis=1)
    return OrientedBox(name, np.asarray(matrix, dtype=float)[:3, 3], edges / size[:, None], size)


def send_plan(geometry: ScanGeometry, box: OrientedBox, address: str) -> list[str]:
    """Send the messages to a server, as Slicer's OpenIGTLinkIF is one.

    Args:
        address: ``HOST`` or ``HOST:PORT``.

    Returns:
        The names of the messages.

    Raises:
        UsageError: the address is not valid, or nothing answers there.
    """
    with needing("pyigtl"):
        import pyigtl

    host, port = _parsed(address)
    transforms = plan_transforms(geometry, box)
    client = pyigtl.OpenIGTLinkClient(host, port)
    try:
        _wait_for(client, address)
        for name, matrix in transforms.items():
            client.send_message(pyigtl.TransformMessage(matrix, device_name=name), wait=True)
        # The queue is empty once the last message is taken from it, a moment before it is on the wire.
        time.sleep(_SETTLE_S)
    finally:
        client.stop()
    return list(transforms)


def _wait_for(client: Any, address: str) -> None:
    deadline = time.monotonic() + _CONNECT_S
    while not client.is_connected():
        if time.monotonic() > deadline:
            raise UsageError(
                "no OpenIGTLink server answers there",
                source=address,
                remedy="Start the server (in Slicer: OpenIGTLinkIF, Server, Active) and check host and port.",
            )
        time.sleep(0.02)


def _parsed(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon:
        return address, PORT
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError("is not HOST:PORT", source=address, remedy=f"Give for example localhost:{PORT}.")
    return host, int(port)


def _matrix(rows: np.ndarray, origin: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rows.T, origin
    return matrix
