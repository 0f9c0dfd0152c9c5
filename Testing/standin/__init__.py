"""A stand-in for what a scripted module takes from the Slicer application: qt, ctk, qMRML widgets, slicer.app.

It catches wrong widget names, broken .ui files, misspelt properties and signals, exceptions in slots and wrong
enable logic. It runs on PySide6 and is **not** evidence for the application. Only what our panels use is here;
everything else is an error that says where to add it.

Tests take it through the fixture ``stand_in`` (``standin/fixtures.py``)::

    def test_the_button_waits_for_scouts(stand_in):
        panel = stand_in.open_module(ROOT / "AutoVolumeCalibration" / "AutoVolumeCalibration.py")
        assert not panel.ui.applyButton.enabled
"""
