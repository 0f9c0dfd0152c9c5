"""The report of a comparison of variants: errors with intervals, claims with verdicts, costs, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.files.atomic_write import write_text

from ..evaluation.metrics import SUCCESS_RADII_MM, markdown_table, success_rates
from ..evaluation.slice_measurement import GIVEN, RealSlices, pooled
from ..evaluation.statistics import Interval, holm
from .ablation import Outcome, run_place
from .ablations.claims import Errors, claims_table, judged
from .ablations.curves import curves_picture, read_curve
from .ablations.people_and_seeds import crossed_interval, difference, person_means
from .ablations.plan import AblationPlan

REPORT_FILE, CURVES_FILE = "report.md", "curves.png"

#: A panel of the learning curves holds at most so many variants.
_IN_A_PANEL = 6


def write_report(plan: AblationPlan, outcomes: Sequence[Outcome], slices: RealSlices, output: Path) -> str:
    """Write report and learning curves to the output folder of a comparison; returns the report."""
    text = report(plan, outcomes, slices)
    if outcomes:
        draw_curves(plan, outcomes, output)
        text += f"\n![Learning curves]({CURVES_FILE})\n"
    write_text(output / REPORT_FILE, text)
    return text


def report(plan: AblationPlan, outcomes: Sequence[Outcome], slices: RealSlices) -> str:
    """Markdown about the variants that are measured."""
    by_variant = _by_variant(plan, outcomes)
    if not by_variant:
        return f"# {plan.title}\n\nNo variant is measured yet.\n"
    parts = [f"# {plan.title}", _how_measured(plan, by_variant, slices), _error_table(by_variant, slices.subjects)]
    if plan.claims:
        measured = {name: _errors(found) for name, found in by_variant.items()}
        parts.append(claims_table(judged(plan.claims, measured, slices.subjects)))
    elif len(by_variant) > 1:
        parts.append(_difference_table(by_variant, slices.subjects))
    parts.append(_cost_table(by_variant))
    if any(outcome.given_errors_mm for outcome in outcomes):
        parts.append(_given_table(by_variant, slices.subjects))
    return "\n\n".join(parts) + "\n"


def draw_curves(plan: AblationPlan, outcomes: Sequence[Outcome], output: Path) -> None:
    """The learning curves of all measured runs, a panel for each pair of claims or for a few variants."""
    by_variant = _by_variant(plan, outcomes)
    curves = {
        name: [read_curve(run_place(output, name, one.seed), one.per_training / max(1, one.steps)) for one in found]
        for name, found in by_variant.items()
    }
    curves_picture(_panels(plan, list(by_variant)), curves, output / CURVES_FILE)


def _panels(plan: AblationPlan, names: Sequence[str]) -> dict[str, list[str]]:
    """Title -> variants: those that claims compare with the same one, and the rest in the order of the plan."""
    panels: dict[str, list[str]] = {}
    for claim in plan.claims:
        if claim.better != claim.than and {claim.better, claim.than} <= set(names):
            panel = panels.setdefault(f"against {claim.than}", [claim.than])
            panel += [claim.better] if claim.better not in panel else []
    shown = {name for panel in panels.values() for name in panel}
    rest = [name for name in names if name not in shown]
    for start in range(0, len(rest), _IN_A_PANEL):
        part = rest[start : start + _IN_A_PANEL]
        of_several = f" {start + 1} to {start + len(part)} of {len(rest)}" if len(part) < len(rest) else ""
        panels[("other variants" if shown else "variants") + of_several] = part
    return panels


def _by_variant(plan: AblationPlan, outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    measured = {v.name: [o for o in outcomes if o.variant == v.name] for v in plan.variants}
    return {name: found for name, found in measured.items() if found}


def _errors(found: Sequence[Outcome]) -> Errors:
    """Errors of a variant's trainings without guidance, and with each number of given landmarks."""
    errors: dict[int | None, Sequence[np.ndarray]] = {None: [outcome.errors_mm for outcome in found]}
    for number in found[0].given_errors_mm:
        errors[number] = [outcome.given_errors_mm[number] for outcome in found]
    return errors


def _how_measured(plan: AblationPlan, by_variant: Mapping[str, Sequence[Outcome]], slices: RealSlices) -> str:
    counted = int(np.isfinite(next(iter(by_variant.values()))[0].errors_mm).sum())
    cost = (
        f"every run trains for {plan.tera_multiply_adds:g} x 10^12 multiply-adds"
        if plan.tera_multiply_adds
        else "all runs have their plan's number of steps"
    )
    return (
        f"In-plane error on {len(slices.subjects)} slices of {len(set(slices.subjects))} people "
        f"({counted} landmarks within reach of a slice); the errors of all seeds together; {cost}. "
        "Intervals: 95 %, over people and seeds; of a variant with one seed over people only, marked *."
    )


def _error_table(by_variant: Mapping[str, Sequence[Outcome]], subjects: Sequence[str]) -> str:
    radii = (f"within {radius:g} mm" for radius in SUCCESS_RADII_MM)
    header = ["variant", "median, mm", "p95, mm", *radii, "median of each seed"]
    table = []
    for name, found in by_variant.items():
        errors = [outcome.errors_mm for outcome in found]
        median = crossed_interval(errors, subjects, lambda values: float(np.median(values)))
        tail = crossed_interval(errors, subjects, lambda values: float(np.percentile(values, 95)))
        shares = (f"{100 * share:.0f} %" for share in success_rates(pooled(errors, subjects)[0]).values())
        seeds = ", ".join(f"{np.nanmedian(of_seed):.2f}" for of_seed in errors)
        mark = "" if len(found) > 1 else " *"
        table.append([name + mark, _stated(median, 2), _stated(tail, 1), *shares, seeds])
    return markdown_table(header, table)


def _difference_table(by_variant: Mapping[str, Sequence[Outcome]], subjects: Sequence[str]) -> str:
    """Mean difference of each variant to the first, each person weighing the same, with Holm's correction."""
    tables = {name: person_means([o.errors_mm for o in found], subjects) for name, found in by_variant.items()}
    (first, reference), *others = tables.items()
    found = {name: difference(own, reference) for name, own in others}
    corrected = holm([one.p_value for one in found.values()])
    rows = []
    for (name, one), p_value in zip(found.items(), corrected, strict=True):
        interval, mark = one.interval, "" if one.over_seeds else " *"
        stated = f"{interval.estimate:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]{mark}"
        rows.append([name, stated, f"{one.percent:+.0f} %", f"{one.per_person_sd:+.1f} sd", f"{p_value:.2g}"])
    return markdown_table([f"mean error less that of {first}", "mm", "relative", "per person", "p (Holm)"], rows)


def _cost_table(by_variant: Mapping[str, Sequence[Outcome]]) -> str:
    header = [
        "variant",
        "parameters, M",
        "multiply-adds per slice, 10^6",
        "steps",
        "multiply-adds of the training, 10^12",
        "learning rate",
    ]
    rows = [
        [
            name,
            f"{found[0].parameters / 1e6:.2f}",
            f"{found[0].per_slice / 1e6:.0f}",
            f"{found[0].steps}",
            f"{found[0].per_training / 1e12:.3g}",
            f"{found[0].learning_rate:.1e}",
        ]
        for name, found in by_variant.items()
    ]
    return markdown_table(header, rows)


def _given_table(by_variant: Mapping[str, Sequence[Outcome]], subjects: Sequence[str]) -> str:
    table = []
    for name, found in by_variant.items():
        if found[0].given_errors_mm:
            medians = (
                crossed_interval([o.given_errors_mm[given] for o in found], subjects, lambda v: float(np.median(v)))
                for given in GIVEN
            )
            table.append([name, *(_stated(median, 2) for median in medians)])
    return markdown_table(["median of the others, mm", *(f"{given} given" for given in GIVEN)], table)


def _stated(interval: Interval, digits: int) -> str:
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
