"""The console cards: each vendor's fields, order and units, and a field of view that can be typed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule, tilted_axes
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.console.card import card_from_dict, card_summary, card_text, card_to_dict
from AutoVolumeCalibrationLib.core.planning.console.cards import console_cards
from AutoVolumeCalibrationLib.core.planning.console.field_of_view import field_of_view
from AutoVolumeCalibrationLib.core.planning.console.ge import ge_card
from AutoVolumeCalibrationLib.core.planning.console.philips import philips_card
from AutoVolumeCalibrationLib.core.planning.console.siemens import siemens_card
from AutoVolumeCalibrationLib.core.planning.outline import Outline
from AutoVolumeCalibrationLib.core.planning.prescription import prescribe
from AutoVolumeCalibrationLib.core.report.text import cards_text
from calibrations import calibration

FORMS = (siemens_card, ge_card, philips_card)


def prescription(size_mm=(150.0, 185.0, 153.0), tilt=(0.0, 0.0, 0.0), center=(5.0, 10.0, -7.25), **changes):
    rule = replace(box_rule(load_protocol("BrainAcPc")), **changes)
    box = OrientedBox("box", np.array(center), tilted_axes(np.eye(3), tilt), np.array(size_mm))
    return prescribe(box, rule)


def values(card) -> dict[str, str]:
    return {line.label: line.typed for line in card.lines}


def typed(form, p, outline: Outline | None = None) -> dict[str, str]:
    return values(form(p, field_of_view(p, outline)))


def test_the_siemens_card_is_the_routine_card_in_its_order_and_units():
    p = prescription(tilt=(12.3, 0, 0), gap_mm=0.6)
    card = siemens_card(p, field_of_view(p, Outline(-90.0, 90.0, False)))
    assert [line.label for line in card.lines] == [
        "Slices",
        "Dist. factor",
        "Position",
        "Orientation",
        "Phase enc. dir.",
        "Rotation",
        "Phase oversampling",
        "FoV read",
        "FoV phase",
        "Slice thickness",
    ]
    shown = values(card)
    assert shown["Dist. factor"] == "20 %"
    assert shown["Position"] == "R5.0 A10.0 F7.2 mm"
    assert shown["Orientation"] == "T > C -12.3"
    assert shown["Phase enc. dir."] == "R >> L"
    assert shown["Rotation"] == "90.0 deg"
    assert shown["FoV read"] == "185 mm"
    assert shown["FoV phase"] == "81.1 %"
    assert shown["Slice thickness"] == "3 mm"


def test_phase_oversampling_takes_in_the_skin():
    # Brain and margins 150 mm, head 180 mm.
    shown = typed(siemens_card, prescription(), Outline(-90.0, 90.0, False))
    assert shown["Phase oversampling"] == "20 %"
    shown = typed(siemens_card, prescription(), Outline(-80.0, 100.0, False))
    assert shown["Phase oversampling"] == "34 %"
    assert typed(siemens_card, prescription(), Outline(-70.0, 70.0, False))["Phase oversampling"] == "0 %"


def test_more_oversampling_than_a_console_takes_is_said():
    narrow = field_of_view(prescription(size_mm=(80.0, 185.0, 153.0)), Outline(-90.0, 90.0, False))
    assert narrow.oversampling_percent == 125
    assert any("more than 100 %" in note for note in narrow.notes)
    usual = field_of_view(prescription(), Outline(-90.0, 90.0, False))
    assert not any("more than 100 %" in note for note in usual.notes)


def test_typed_phase_never_falls_short_of_the_box():
    for seed in range(50):
        size = np.random.default_rng(seed).uniform(80, 250, 3)
        p = prescription(size_mm=size)
        fov = field_of_view(p, None)
        assert fov.read_mm >= p.fov_read_mm - 1e-3
        siemens = typed(siemens_card, p)
        assert float(siemens["FoV phase"][:-2]) / 100 * fov.read_mm >= p.fov_phase_mm - 1e-3
        assert float(siemens["FoV phase"][:-2]) <= 100
        ge = typed(ge_card, p)
        assert float(ge["Phase FOV"]) * float(ge["FOV"][:-3]) * 10 >= p.fov_phase_mm - 1e-3
        assert float(ge["Phase FOV"]) <= 1


def test_read_is_never_shorter_than_phase_without_saying_so():
    p = prescription(size_mm=(162.0, 184.0, 153.0), slice_axis="right", phase_axis="anterior")
    assert p.fov_phase_mm > p.fov_read_mm
    fov = field_of_view(p, None)
    assert fov.read_mm == 184 and fov.phase_fraction <= 1
    assert any("widened from 153 to 184 mm" in note for note in fov.notes)
    assert "widen read" in p.to_text()
    assert not any("widened" in note for note in field_of_view(prescription(), None).notes)


def test_the_ge_card_has_centimetres_a_fraction_and_letters():
    shown = typed(ge_card, prescription(gap_mm=0.6), Outline(-90.0, 90.0, False))
    assert shown["FOV"] == "18.5 cm"
    assert shown["Phase FOV"] == "0.82"
    assert shown["Spacing"] == "0.6 mm"
    assert shown["Center"] == "R5.0 A10.0 I7.2 mm"
    assert shown["Freq. Dir"] == "A/P"
    assert shown["No Phase Wrap"] == "on"
    assert shown["Scan Plane"] == "Axial"
    half = 42 * 3.6 / 2
    assert shown["End (slice center)"] == f"R5.0 A10.0 I{7.25 + half:.1f} mm"
    assert shown["Start (slice center)"] == f"R5.0 A10.0 S{half - 7.25:.1f} mm"
    assert typed(ge_card, prescription(tilt=(12, 0, 0)))["Scan Plane"] == "Oblique (near axial)"
    assert typed(ge_card, prescription(), Outline(-70.0, 70.0, False))["No Phase Wrap"] == "off"


def test_the_philips_card_lists_ap_rl_fh_with_signs():
    shown = typed(philips_card, prescription(tilt=(10, 0, 0)), Outline(-90.0, 90.0, False))
    assert list(shown)[:3] == ["FOV AP", "FOV RL", "FOV FH"]
    assert (shown["FOV AP"], shown["FOV RL"], shown["FOV FH"]) == ("185 mm", "150 mm", "153 mm")
    assert shown["Fold-over direction"] == "RL"
    assert shown["Fold-over suppression"] == "oversampling 15 mm at each end"
    assert shown["Stack Offc. AP (P=+)"] == "-10.0 mm"
    assert shown["Stack Offc. RL (L=+)"] == "-5.0 mm"
    assert shown["Stack Offc. FH (H=+)"] == "-7.2 mm"
    assert shown["Ang. RL"] == "-10.0 deg"
    assert shown["Ang. AP"] == "0.0 deg" and shown["Ang. FH"] == "0.0 deg"


def test_what_the_scouts_do_not_show_is_said():
    p = prescription()
    for form in FORMS:
        unknown = form(p, field_of_view(p, None))
        assert "check" in " ".join(values(unknown).values())
        assert any("do not show the outline" in note for note in unknown.notes)
        cut = form(p, field_of_view(p, Outline(-90.0, 90.0, True)))
        assert any("cut the anatomy off" in note for note in cut.notes)


@pytest.mark.parametrize("form", FORMS)
def test_every_line_has_a_source_and_every_card_its_evidence(form):
    p = prescription()
    card = form(p, field_of_view(p, None))
    assert all(line.source and line.value for line in card.lines)
    assert card.evidence
    assert f"Evidence: {card.evidence}" in card_text(card)


def test_a_form_that_was_not_seen_says_so_on_the_card():
    p = prescription()
    assert "not confirmed" in card_text(ge_card(p, field_of_view(p, None)))


def test_cards_survive_json():
    for card in console_cards(calibration()):
        assert card_from_dict(json.loads(json.dumps(card_to_dict(card)))) == card


def test_the_cards_of_a_plan_see_its_scouts():
    vendors = [card.vendor for card in console_cards(calibration())]
    assert vendors == ["Siemens", "GE", "Philips"]
    assert not any("do not show" in note for card in console_cards(calibration()) for note in card.notes)


@pytest.mark.parametrize(
    ("manufacturer", "first"),
    [("GE MEDICAL SYSTEMS", "GE"), ("Philips Medical Systems", "Philips"), ("Siemens Healthineers", "Siemens")],
)
def test_the_card_of_the_scanner_comes_first_and_in_full(manufacturer, first):
    text = cards_text(calibration(), manufacturer)
    cards = {card.vendor: card for card in console_cards(calibration())}
    assert text.startswith(card_text(cards[first]))
    for vendor, card in cards.items():
        assert (card_text(card) in text) == (vendor == first)
        assert (card_summary(card) in text) == (vendor != first)


def test_an_unknown_scanner_gets_every_card_in_short():
    text = cards_text(calibration(), "")
    assert all(card_summary(card) in text for card in console_cards(calibration()))
    assert text.count("Note: ") == len(console_cards(calibration())[0].notes)
