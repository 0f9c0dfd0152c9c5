"""A signal calls its listeners in order, each once."""

from __future__ import annotations

from AutoVolumeCalibrationLib.mrml.signal import Signal


def test_listeners_are_called_in_the_order_of_their_connection():
    signal, calls = Signal(), []
    signal.connect(lambda: calls.append("first"), lambda: calls.append("second"))
    signal.connect(lambda: calls.append("third"))
    signal.emit()
    signal.emit()
    assert calls == ["first", "second", "third"] * 2


def test_nobody_is_called_after_all_were_disconnected():
    signal, calls = Signal(), []
    signal.connect(lambda: calls.append(1))
    signal.disconnect_all()
    signal.emit()
    assert calls == []


def test_a_listener_may_connect_another_which_waits_for_the_next_time():
    signal, calls = Signal(), []
    signal.connect(lambda: signal.connect(lambda: calls.append("new")))
    signal.emit()
    assert calls == []
    signal.emit()
    assert calls == ["new"]
