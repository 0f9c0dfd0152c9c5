"""The parts of the node: configuration, spool, outbox, and receiving from dcmtk's ``storescu``."""

from __future__ import annotations

import json
import os
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from AutoVolumeCalibrationLib.cli.main import main
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.service.node import outbox as outboxes
from AutoVolumeCalibrationLib.service.node import serving
from AutoVolumeCalibrationLib.service.node.configuration import (
    Configuration,
    Destination,
    Peer,
    Tls,
    read_configuration,
)
from AutoVolumeCalibrationLib.service.node.health import reporting
from AutoVolumeCalibrationLib.service.node.outbox import Outbox
from AutoVolumeCalibrationLib.service.node.rate import RateLimit
from AutoVolumeCalibrationLib.service.node.receiver import receiving
from AutoVolumeCalibrationLib.service.node.spool import IMAGES, UNREADABLE, Spool
from AutoVolumeCalibrationLib.service.page.settings import PageSettings
from command_line import MIDDLE_SLICES, Ran, assert_refused
from service.peers import ECHOSCU, STORESCU, dcmtk, free_port, listens, needs_dcmtk

ARCHIVE = '[[destination]]\nname = "a"\ntitle = "A"\nhost = "h"\nport = 104\n'
OWN_TLS = '[tls]\ncertificate = "c"\nkey = "k"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_configuration_is_read_with_its_defaults(tmp_path):
    text = """
    [node]
    spool = "spool"
    port = 104
    [[peer]]
    title = "SCANNER"
    [plan]
    model = "brain-scout"
    time_limit_s = 30
    [[destination]]
    name = "pacs"
    title = "PACS"
    host = "10.0.0.1"
    port = 11112
    [[destination]]
    name = "share"
    folder = "results"
    forms = ["dicom-sr", "gsps"]
    [page]
    host = "::"
    port = 8043
    token = "sixteen letters."
    names = true
    """
    found = read_configuration(written(tmp_path, text))
    assert (found.spool, found.port, found.title, found.quiet_s) == (tmp_path / "spool", 104, "AUTOVOLUME", 10.0)
    assert found.peers == (Peer("SCANNER"),)
    assert (found.request.model, found.request.protocol) == ("brain-scout", "")
    assert (found.limits.seconds, found.limits.memory_gb) == (30, 4.0)
    assert found.page == PageSettings(8043, "::", "sixteen letters.", names=True)
    assert found.page.address == "http://[::]:8043/"
    assert found.destinations == (
        Destination("pacs", "PACS", "10.0.0.1", 11112),
        Destination("share", folder=tmp_path / "results", forms=("dicom-sr", "gsps")),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[node", "cannot be read as TOML"),
        ("[node]\nport = 1", "node: the key 'spool' is missing"),
        ('[node]\nspool = "s"\nport = "x"', "node.port: 'x' is not of type 'integer'"),
        ('[node]\nspool = "s"\nprot = 1', "node: there is no key 'prot', it may be meant as 'port'"),
        ('[node]\nspool = "s"\nzzz = 1', "node: there is no key 'zzz'. See"),
        ('[node]\nspool = "s"\ntitle = "A_VERY_LONG_TITLE"', "AE title of this node, 1 to 16 characters"),
        ('[node]\nspool = "s"\n[peer]\ntitle = "MR1"', "[peer] begins a single entry. Write [[peer]]"),
        ('[node]\nspool = "s"\n[destination]\nname = "a"\nfolder = "f"', "Write [[destination]]"),
        ('[node]\nspool = "s"\nhealth_port = 11112', "port of [node] and health_port are both 11112"),
        (
            '[node]\nspool = "s"\nhealth_port = 8042\n[page]\nport = 8042',
            "health_port and port of [page] are both 8042",
        ),
        ('[node]\nspool = "s"\nhost = "0.0.0.0"', "anybody there may send"),
        (
            '[node]\nspool = "s"\n[[destination]]\nname = "a"',
            "destination[0]: an entry needs title, host and port of a node, or a",
        ),
        ('[node]\nspool = "s"\n[[destination]]\nname = "a"\nfolder = "f"\nport = 1', "or a folder and none of these"),
        (
            '[node]\nspool = "s"\n' + '[[destination]]\nname = "a"\nfolder = "f"\n' * 2,
            "two destinations have the same name",
        ),
        ('[node]\nspool = "s"\n[[destination]]\nname = "a"\nfolder = "f"\nforms = ["nifti"]', "'nifti' is not one of"),
        ('[node]\nspool = "s"\n[page]\nport = 1\nhost = "0.0.0.0"', "anybody there may open it"),
        (
            '[node]\nspool = "s"\n[page]\nport = 1\ntoken = "short"',
            "page.token: has 5 characters, at least 16",
        ),
        (
            '[node]\nspool = "s"\n[[peer]]\ntitle = "MR1"\nhost = "mr1.hospital"',
            "which is not an IP address",
        ),
        (f'[node]\nspool = "s"\n{ARCHIVE}tls = true', "cannot be known without an authority"),
        (f'[node]\nspool = "s"\n{ARCHIVE}tls = true\n{OWN_TLS}', "cannot be known without an authority"),
        ('[node]\nspool = "s"\n[[destination]]\nname = "a"\nfolder = "f"\ntls = true', "destination[0]"),
    ],
    ids=range(21),
)
def test_a_mistake_in_the_configuration_is_named(tmp_path, text, said):
    with pytest.raises(UsageError) as refused:
        read_configuration(written(tmp_path, text))
    assert said in str(refused.value)


def test_a_destination_with_tls_is_known_by_the_authority(tmp_path):
    text = f'[node]\nspool = "s"\n{ARCHIVE}tls = true\n{OWN_TLS}authority = "a"'
    found = read_configuration(written(tmp_path, text))
    assert found.destinations == (Destination("a", "A", "h", 104, tls=True),)
    assert found.tls == Tls(tmp_path / "c", tmp_path / "k", tmp_path / "a")


def test_check_config_runs_nothing(capsys, tmp_path):
    pytest.importorskip("pynetdicom", reason="needs pynetdicom (the extra service)")
    assert main(["serve", str(written(tmp_path, '[node]\nspool = "s"')), "--check-config"]) == 0
    assert capsys.readouterr().out == "AUTOVOLUME would listen on 127.0.0.1:11112\n"
    bad = written(tmp_path, '[node]\nspool = "s"\n[plan]\nmodel = "none"')
    code = main(["serve", str(bad), "--check-config"])
    assert_refused(Ran(code, *capsys.readouterr()), 4, "none")
    bad = written(tmp_path, f'[node]\nspool = "s"\n{OWN_TLS}')
    code = main(["serve", str(bad), "--check-config"])
    assert_refused(Ran(code, *capsys.readouterr()), 2, tmp_path / "c")


def test_an_instance_is_kept_once_and_without_names(tmp_path):
    spool, data = Spool(tmp_path), MIDDLE_SLICES[0].read_bytes()
    path = spool.keep(data)
    before = path.stat().st_mtime_ns
    assert spool.keep(data) == path
    assert path.stat().st_mtime_ns == before
    assert path.read_bytes() == data
    assert [len(part) for part in path.relative_to(tmp_path / IMAGES).with_suffix("").parts] == [16, 16, 16]


@pytest.mark.parametrize("data", [b"", b"no DICOM", b"\0" * 128 + b"DICM"], ids=range(3))
def test_what_cannot_be_read_is_kept_too(tmp_path, data):
    path = Spool(tmp_path).keep(data)
    assert path.parent == tmp_path / UNREADABLE
    assert path.read_bytes() == data
    assert Spool(tmp_path).unreadable() == 1


def test_a_study_is_open_until_it_is_settled_and_after_a_restart(tmp_path):
    spool = Spool(tmp_path)
    path = spool.keep(MIDDLE_SLICES[0].read_bytes())
    (study,) = spool.changed()
    os.utime(path, (study.latest + 5, study.latest + 5))  # another image came while it was planned
    spool.settle(study)
    (study,) = spool.changed()
    spool.settle(study)
    assert list(spool.changed()) == []
    again = Spool(tmp_path)
    again.recover()
    assert [one.name for one in again.changed()] == [study.name]


def test_old_studies_go(tmp_path):
    spool = Spool(tmp_path)
    path = spool.keep(MIDDLE_SLICES[0].read_bytes())
    assert spool.remove_older(1) == []
    os.utime(path, (1e9, 1e9))
    assert len(spool.remove_older(1)) == 1
    assert list(spool.studies()) == []


def test_what_is_unreadable_and_the_notes_of_what_was_sent_go_with_the_old_studies(tmp_path):
    spool, box = Spool(tmp_path), Outbox(tmp_path, Destination("share", folder=tmp_path / "share"), "ME")
    strange = spool.keep(b"no DICOM")
    box.put(MIDDLE_SLICES[0], "1.2.3")
    assert box.send() == 1
    note = tmp_path / "sent" / "share" / "1.2.3.dcm"
    spool.remove_older(1)
    assert strange.exists() and note.exists()
    for path in (strange, note):
        os.utime(path, (1e9, 1e9))
    spool.remove_older(1)
    assert not strange.exists() and not note.exists()
    assert (tmp_path / "share" / "1.2.3.dcm").exists()


def test_an_object_goes_into_a_folder_once(tmp_path):
    destination = Destination("share", folder=tmp_path / "share")
    box = Outbox(tmp_path / "spool", destination, "ME")
    source = tmp_path / "dicom-sc.dcm"
    source.write_bytes(b"object")
    for _ in range(2):
        box.put(source, "1.2.3")
    assert len(box.waiting()) == 1
    assert box.send() == 1
    assert (tmp_path / "share" / "1.2.3.dcm").read_bytes() == b"object"
    Outbox(tmp_path / "spool", destination, "ME").put(source, "1.2.3")
    assert box.waiting() == []


def test_a_destination_that_fails_is_tried_again_later_and_later(tmp_path, monkeypatch):
    (tmp_path / "share").write_text("a file, not a folder")
    box = Outbox(tmp_path / "spool", Destination("share", folder=tmp_path / "share"), "ME")
    source = tmp_path / "dicom-sc.dcm"
    source.write_bytes(b"object")
    box.put(source, "1.2.3")
    now = [1000.0]
    monkeypatch.setattr(outboxes.time, "monotonic", lambda: now[0])
    waits = []
    for _ in range(9):
        assert box.send() == 0
        waits.append(box._unreachable.next_try_s - now[0])
        now[0] = box._unreachable.next_try_s
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    (tmp_path / "share").unlink()
    assert box.send() == 1


def sent(configuration: Configuration, *files: Path, title: str = "SCANNER") -> int:
    return dcmtk(STORESCU, configuration.port, *files, title=title)


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    pytest.importorskip("pynetdicom", reason="needs pynetdicom (the extra service)")
    return Configuration(tmp_path / "spool", port=free_port(), peers=(Peer("SCANNER", "127.0.0.1"),), minimum_free_gb=0)


@needs_dcmtk
def test_images_of_a_peer_are_on_the_disk_once_it_has_its_answer(configuration):
    spool = Spool(configuration.spool)
    configuration.spool.mkdir()
    with receiving(configuration, spool):
        assert dcmtk(ECHOSCU, configuration.port) == 0
        for _ in range(2):
            assert sent(configuration, *MIDDLE_SLICES) == 0
        assert len(list((configuration.spool / IMAGES).rglob("*.dcm"))) == len(MIDDLE_SLICES)
    (study,) = spool.changed()
    assert study.latest <= time.time()


def test_a_peer_that_sends_too_fast_waits_and_others_do_not():
    rate = RateLimit(10.0)
    waits = [rate._reserve("fast", 100.0) for _ in range(13)]
    assert waits[:11] == [0.0] * 11  # a second's worth at once
    assert waits[11:] == pytest.approx([0.1, 0.2])
    assert rate._reserve("other", 100.0) == 0.0
    assert rate._reserve("fast", 110.0) == 0.0


@needs_dcmtk
def test_images_beyond_the_rate_come_later_and_none_is_lost(configuration):
    configuration.spool.mkdir()
    slow, spool = replace(configuration, max_images_per_s=1.0), Spool(configuration.spool)
    with receiving(slow, spool):
        started = time.monotonic()
        assert sent(slow, *MIDDLE_SLICES) == 0
    assert time.monotonic() - started >= 0.9  # two at once, the third a second later
    assert len(list((configuration.spool / IMAGES).rglob("*.dcm"))) == len(MIDDLE_SLICES)


@needs_dcmtk
def test_too_large_an_image_is_refused(configuration):
    configuration.spool.mkdir()
    small = replace(configuration, max_instance_mb=0.001)
    with receiving(small, Spool(configuration.spool)):
        assert sent(small, MIDDLE_SLICES[0]) != 0
    assert list(configuration.spool.rglob("*.dcm")) == []


@needs_dcmtk
def test_others_are_refused_and_a_full_disk_too(configuration, caplog):
    configuration.spool.mkdir()
    spool = Spool(configuration.spool)
    with receiving(configuration, spool):
        assert sent(configuration, MIDDLE_SLICES[0], title="OTHER") != 0
        assert dcmtk(ECHOSCU, configuration.port, title="OTHER") != 0
        assert dcmtk(STORESCU, configuration.port, MIDDLE_SLICES[0], called="OTHER") != 0
    elsewhere = replace(configuration, port=free_port(), peers=(Peer("SCANNER", "10.1.2.3"),))
    with receiving(elsewhere, spool):
        assert sent(elsewhere, MIDDLE_SLICES[0]) != 0
    full = replace(configuration, port=free_port(), minimum_free_gb=1e6)
    with receiving(full, spool):
        assert sent(full, MIDDLE_SLICES[0]) != 0
    assert list(configuration.spool.rglob("*.dcm")) == []
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "rejected OTHER from 127.0.0.1: no [[peer]] has this title",
        "rejected OTHER from 127.0.0.1: no [[peer]] has this title",
        "rejected SCANNER from 127.0.0.1, which called OTHER: this node is AUTOVOLUME",
        "refused images of SCANNER from 127.0.0.1: its [[peer]] has another host",
        "the disk is full: images are refused",
    ]


def test_health_answers_only_where_images_are_received(configuration, monkeypatch):
    class Reached(Exception):
        pass

    def reporting(port, facts):
        raise Reached(listens(configuration.port))

    monkeypatch.setattr(serving, "_workers", nullcontext)
    monkeypatch.setattr(serving, "reporting", reporting)
    with pytest.raises(Reached, match="True"):
        serving.serve(configuration)


def test_a_signal_whose_exception_was_lost_ends_the_service(configuration, monkeypatch):
    monkeypatch.setattr(serving, "_workers", lambda: nullcontext(SimpleNamespace(limits_hold=True)))
    with pytest.raises(KeyboardInterrupt):
        serving.serve(configuration, stopped=lambda: True)


def test_health_of_a_spool_that_is_gone_is_an_error():
    port, gone = free_port(), Path("nowhere") / "spool"
    with reporting(port, lambda: {"disk_free_gb": Spool(gone).free_gb()}), pytest.raises(HTTPError) as answer:
        urlopen(f"http://127.0.0.1:{port}/health", timeout=10)
    assert answer.value.code == 503
    assert json.loads(answer.value.read()) == {"status": "error", "error": "No such file or directory"}


@needs_dcmtk
def test_an_address_in_use_is_named(configuration):
    spool, refused = Spool(configuration.spool), pytest.raises(UsageError, match="cannot listen")
    with receiving(configuration, spool), refused, receiving(configuration, spool):
        pass


def test_health_is_reported_in_numbers():
    port, facts = free_port(), {"studies_planned": 3, "disk_free_gb": 1.5}
    with reporting(port, lambda: facts):
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            assert json.load(answer) == {"status": "ok", **facts}
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert answer.read() == b"autovolume_studies_planned 3\nautovolume_disk_free_gb 1.5\n"
        with pytest.raises(HTTPError):
            urlopen(f"http://127.0.0.1:{port}/", timeout=10)
        with pytest.raises(UsageError, match="health_port"), reporting(port, lambda: facts):
            pass
    with reporting(0, lambda: facts):
        pass
