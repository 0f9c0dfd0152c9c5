"""TLS on both sides of the node: those who connect to it, and the destinations that it connects to."""

from __future__ import annotations

import ssl
from typing import Any

from ...core.errors import UsageError
from .configuration import Tls

_REMEDY = "Check the files of [tls]."

#: How long a handshake may wait for the peer's next words.
_HANDSHAKE_S = 30.0


class _PatientContext(ssl.SSLContext):
    """Leaves the handshake to the thread of the connection.

    Otherwise it would be made by the thread that accepts connections, and a peer that connects and says nothing would
    keep all others out.
    """

    def wrap_socket(self, sock: Any, **options: Any) -> ssl.SSLSocket:  # type: ignore[override]
        sock.settimeout(_HANDSHAKE_S)
        return super().wrap_socket(sock, **{**options, "do_handshake_on_connect": False})


def server_context(tls: Tls) -> ssl.SSLContext:
    """For those who connect; they need a certificate where the configuration names an authority.

    Raises:
        UsageError: a file is missing, is not what it should be, or does not belong to the others.
    """
    context = _PatientContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    context.verify_mode = ssl.CERT_REQUIRED if tls.authority else ssl.CERT_NONE
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """For destinations: their certificate must come from the authority of the configuration.

    It need not state the host's name: DICOM peers are known by address, and the authority is the department's own.

    Raises:
        UsageError: as ``server_context``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    _load(context, tls)
    return context


def _load(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file = tls.certificate
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.authority:
            file = tls.authority
            context.load_verify_locations(tls.authority)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot be used for TLS ({error})", source=str(file), remedy=_REMEDY) from error
