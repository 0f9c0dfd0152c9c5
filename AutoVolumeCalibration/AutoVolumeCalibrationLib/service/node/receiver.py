"""The receiving side: C-ECHO and C-STORE from the peers of an allow-list. Acknowledged means kept on the disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...core.errors import UsageError
from .configuration import Configuration
from .rate import RateLimit
from .spool import UNREADABLE, Spool
from .tls import server_context

if TYPE_CHECKING:
    from pynetdicom import AE

_logger = logging.getLogger(__name__)

#: DICOM PS3.7 C and PS3.4 B.2.3: status of the answer.
SUCCESS, NOT_AUTHORIZED, NO_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0x0124, 0xA700, 0xC000

_WRONG_ADDRESS = "refused %s of %s from %s: its [[peer]] has another host"

#: A peer that is silent for so long is disconnected.
_SILENCE_S = 60


@contextmanager
def receiving(configuration: Configuration, spool: Spool) -> Iterator[None]:
    """Receive in other threads while the body runs.

    Raises:
        UsageError: the address is in use, or the TLS files do not do.
    """
    from pynetdicom import evt

    handlers: list[Any] = [
        (evt.EVT_C_ECHO, _answer_echo, [configuration]),
        (evt.EVT_C_STORE, _store, [configuration, spool, RateLimit(configuration.max_images_per_s)]),
        (evt.EVT_REJECTED, _log_rejection, [configuration]),
    ]
    address = (configuration.host, configuration.port)
    context = server_context(configuration.tls) if configuration.tls else None
    entity = _entity(configuration)
    try:
        server = entity.start_server(address, block=False, evt_handlers=handlers, ssl_context=context)
    except OSError as error:
        where = f"{configuration.host}:{configuration.port}"
        raise UsageError(
            f"cannot listen ({error.strerror or error})", source=where, remedy="Choose another port or address."
        ) from error
    try:
        yield
    finally:
        if server is not None:
            server.shutdown()


def _entity(configuration: Configuration) -> AE:
    from pynetdicom import AE, AllStoragePresentationContexts, _config
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    # Every storage class is taken, and an unknown one too: what cannot be planned is kept and listed.
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    entity = AE(configuration.title)
    entity.supported_contexts = AllStoragePresentationContexts
    for context in entity.supported_contexts:
        context.transfer_syntax = _transfer_syntaxes()
    entity.add_supported_context(Verification)
    entity.require_called_aet = True
    entity.require_calling_aet = [peer.title for peer in configuration.peers]
    entity.maximum_associations = configuration.max_associations
    entity.network_timeout = entity.dimse_timeout = entity.acse_timeout = _SILENCE_S
    return entity


def _transfer_syntaxes() -> list[Any]:
    from pynetdicom import ALL_TRANSFER_SYNTAXES

    return list(ALL_TRANSFER_SYNTAXES)


def _log_rejection(event: Any, configuration: Configuration) -> None:
    """Say why a connection was rejected: the peer's own message names neither title that does not fit."""
    title, host = _sender(event)
    called = str(event.assoc.requestor.primitive.called_ae_title).strip()
    if called != configuration.title:
        _logger.warning(
            "rejected %s from %s, which called %s: this node is %s", title, host, called, configuration.title
        )
    elif configuration.peers and title not in {peer.title for peer in configuration.peers}:
        _logger.warning("rejected %s from %s: no [[peer]] has this title", title, host)
    else:
        _logger.warning("rejected %s from %s: too many connections at a time", title, host)


def _answer_echo(event: Any, configuration: Configuration) -> int:
    if _may_send(event, configuration):
        return SUCCESS
    _logger.warning(_WRONG_ADDRESS, "the echo", *_sender(event))
    return NOT_AUTHORIZED


def _store(event: Any, configuration: Configuration, spool: Spool, rate: RateLimit) -> int:
    """Keep the instance as it came, undecoded. Nothing of it is logged."""
    if not _may_send(event, configuration):
        _logger.warning(_WRONG_ADDRESS, "images", *_sender(event))
        return NOT_AUTHORIZED
    rate.wait(_sender(event))
    data = event.encoded_dataset()
    if len(data) > configuration.max_instance_mb * 2**20:
        _logger.warning("refused an image of %.0f MB", len(data) / 2**20)
        return NO_RESOURCES
    try:
        if spool.free_gb() < configuration.minimum_free_gb:
            _logger.error("the disk is full: images are refused")
            return NO_RESOURCES
        if spool.keep(data).parent.name == UNREADABLE:
            _logger.warning("an object without study, series or instance UID is kept in %s", UNREADABLE)
    except OSError as error:
        _logger.error("an image could not be kept: %s", error.strerror or error)
        return NO_RESOURCES
    return SUCCESS


def _may_send(event: Any, configuration: Configuration) -> bool:
    title, host = _sender(event)
    peers = configuration.peers
    return not peers or any(peer.title == title and peer.host in ("", host) for peer in peers)


def _sender(event: Any) -> tuple[str, str]:
    requestor = event.assoc.requestor
    return str(requestor.ae_title).strip(), str(requestor.address)
