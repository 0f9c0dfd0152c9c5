"""TLS with dcmtk on both sides: who connects to the node, and the destinations that it connects to."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.service.node.configuration import Configuration, Destination, Peer, Tls
from AutoVolumeCalibrationLib.service.node.outbox import Outbox
from AutoVolumeCalibrationLib.service.node.receiver import receiving
from AutoVolumeCalibrationLib.service.node.spool import IMAGES, Spool
from AutoVolumeCalibrationLib.service.node.tls import server_context
from command_line import MIDDLE_SLICES
from service.certificates import Certificate, certificate, needs_openssl
from service.peers import ECHOSCU, STORESCU, archive, dcmtk, free_port, needs_dcmtk

pytest.importorskip("pynetdicom", reason="needs pynetdicom (the extra service)")

pytestmark = [needs_dcmtk, needs_openssl]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> dict[str, Certificate]:
    folder = tmp_path_factory.mktemp("certificates")
    return {name: certificate(folder, name) for name in ("node", "peer", "stranger")}


@pytest.fixture
def tls(certificates) -> Tls:
    """The node's: peers must come from the peer's certificate."""
    node = certificates["node"]
    return Tls(node.file, node.key, certificates["peer"].file)


@pytest.fixture
def configuration(tmp_path: Path, tls: Tls) -> Configuration:
    (tmp_path / "spool").mkdir()
    peers = (Peer("SCANNER", "127.0.0.1"),)
    return Configuration(tmp_path / "spool", port=free_port(), peers=peers, minimum_free_gb=0, tls=tls)


def kept(configuration: Configuration) -> int:
    return len(list((configuration.spool / IMAGES).rglob("*.dcm")))


def test_peers_with_a_certificate_of_the_authority_may_send(configuration, certificates):
    peer = certificates["peer"].flags(certificates["node"].file)
    with receiving(configuration, Spool(configuration.spool)):
        assert dcmtk(ECHOSCU, configuration.port, *peer) == 0
        assert dcmtk(STORESCU, configuration.port, *peer, *MIDDLE_SLICES) == 0
    assert kept(configuration) == len(MIDDLE_SLICES)


def test_others_are_refused_and_the_node_goes_on(configuration, certificates):
    node = certificates["node"].file
    with receiving(configuration, Spool(configuration.spool)):
        assert dcmtk(STORESCU, configuration.port, *MIDDLE_SLICES) != 0  # without TLS
        assert dcmtk(STORESCU, configuration.port, *certificates["stranger"].flags(node), *MIDDLE_SLICES) != 0
        trusts_nobody = certificates["peer"].flags(certificates["stranger"].file)
        assert dcmtk(STORESCU, configuration.port, *trusts_nobody, *MIDDLE_SLICES) != 0
        assert kept(configuration) == 0
        assert dcmtk(STORESCU, configuration.port, *certificates["peer"].flags(node), MIDDLE_SLICES[0]) == 0
    assert kept(configuration) == 1


def test_without_an_authority_anybody_may_connect(configuration, certificates):
    anybody = replace(configuration, tls=replace(configuration.tls, authority=None))
    with receiving(anybody, Spool(anybody.spool)):
        assert dcmtk(ECHOSCU, anybody.port, *certificates["stranger"].flags(certificates["node"].file)) == 0


def test_a_peer_that_connects_and_says_nothing_keeps_no_other_out(configuration, certificates):
    peer = certificates["peer"].flags(certificates["node"].file)
    silent = ("127.0.0.1", configuration.port)
    with receiving(configuration, Spool(configuration.spool)), socket.create_connection(silent):
        started = time.monotonic()
        assert dcmtk(ECHOSCU, configuration.port, *peer) == 0
        assert time.monotonic() - started < 20


def waiting_outbox(spool: Path, port: int, tls: Tls) -> Outbox:
    destination = Destination("archive", "ARCHIVE", "127.0.0.1", port, tls=True)
    box = Outbox(spool, destination, "AUTOVOLUME", tls)
    box.put(MIDDLE_SLICES[0], "1.2.3")
    return box


def test_results_go_to_an_archive_with_tls(tmp_path, certificates, tls):
    port, peer, trusted = free_port(), certificates["peer"], certificates["node"].file
    with archive(tmp_path / "archive", port, *peer.flags(trusted)):
        assert waiting_outbox(tmp_path / "spool", port, tls).send() == 1
    assert len(list((tmp_path / "archive").iterdir())) == 1


def test_results_do_not_go_to_a_stranger(tmp_path, certificates, tls):
    port, stranger, trusted = free_port(), certificates["stranger"], certificates["node"].file
    with archive(tmp_path / "archive", port, *stranger.flags(trusted)):
        box = waiting_outbox(tmp_path / "spool", port, tls)
        assert box.send() == 0
    assert len(box.waiting()) == 1
    assert list((tmp_path / "archive").iterdir()) == []


def test_files_that_do_not_do_are_named(tls, certificates, tmp_path):
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("nothing")
    for wrong, file in (
        (replace(tls, certificate=tmp_path / "none.pem"), "none.pem"),
        (replace(tls, key=certificates["peer"].key), "node.pem"),
        (replace(tls, authority=no_pem), "no.pem"),
    ):
        with pytest.raises(UsageError, match=file):
            server_context(wrong)
