"""How surely the models recognise which anatomy scouts show; measures the limits of recognition and records them.

    python Testing/benchmarks/recognition.py --output DIR --data DATA --knees LABELS [--bundle DIR] [--record]

DATA holds ``heads.csv``, ``labels`` and ``localizers``. LABELS are knees of a seed that no training used:

    autovolume knees --atlas ATLAS --seed 131 --count 12 --output LABELS

The models are the installed default ones; ``--bundle`` names one that is not installed yet, in place of the installed
one of its anatomy. Of every study all models score the middle slices as acquired and in all orientations, and it is
planned as each anatomy that it is not: such a plan must never be green. DIR keeps a log, from which an interrupted run
goes on, and ``recognition.md``. ``--record`` writes the limits into the models' bundles.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

from recognition_study.cases import NEITHER, Case, cases  # noqa: E402
from recognition_study.limits import Scored, ScoreLimit, confusion, lead_of, score_limit  # noqa: E402
from recognition_study.recording import record  # noqa: E402

from AutoVolumeCalibrationLib.core.errors import AutoVolumeError  # noqa: E402
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text  # noqa: E402
from AutoVolumeCalibrationLib.core.models.anatomies import default_protocol, installed_anatomies  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402
from AutoVolumeCalibrationLib.core.models.store import bundle_anatomy, default_folder  # noqa: E402
from AutoVolumeCalibrationLib.core.planning.checks.check import OK  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.localization import StudyLocalizer  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.recognition import AnatomyCandidate, check_anatomy  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402

LOG, REPORT = "scores.jsonl", "recognition.md"
#: What a refused plan counts as.
REFUSED = "refused"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--knees", type=Path)
    parser.add_argument("--bundle", type=Path, action="append", default=[])
    parser.add_argument("--count", type=int, default=12, help="studies of each kind and number of slices")
    parser.add_argument("--seed", type=int, default=20261130)
    parser.add_argument("--record", action="store_true", help="write the limits into the bundles")
    options = parser.parse_args(arguments)
    folders = {bundle_anatomy(folder): folder for folder in options.bundle}
    candidates = _candidates(folders)
    for each in candidates:
        folders.setdefault(each.anatomy, default_folder(each.anatomy))
    options.output.mkdir(parents=True, exist_ok=True)
    log = _scored(list(cases(options.data, options.knees, options.count, options.seed)), candidates, options.output)
    limits = {each.anatomy: score_limit(log, each.anatomy) for each in candidates}
    lead = lead_of(log, {anatomy: limit.limit for anatomy, limit in limits.items()})
    text = report(log, candidates, limits, lead)
    write_text(options.output / REPORT, text)
    print(text)
    if options.record:
        for anatomy, limit in limits.items():
            record(folders[anatomy], limit.limit, lead, len(log))


def _candidates(named: Mapping[str, Path]) -> list[AnatomyCandidate]:
    found = installed_anatomies(without=named)
    for anatomy, folder in named.items():
        found.append(AnatomyCandidate(default_protocol(anatomy, folder), load_model(folder)))
    return found


def _scored(todo: Sequence[Case], candidates: Sequence[AnatomyCandidate], folder: Path) -> list[Scored]:
    """The scores of all cases; those in the log of the same models are not measured again."""
    models = {each.anatomy: each.model.sha256 for each in candidates}
    path, known = folder / LOG, {}
    if path.is_file():
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        known = {entry["name"]: Scored(**entry["scored"]) for entry in entries if entry["models"] == models}
    log = []
    with open(path, "a", encoding="utf-8") as file:
        for case in todo:
            if case.name not in known:
                started = time.perf_counter()
                known[case.name] = _measured(case, candidates)
                file.write(json.dumps({"name": case.name, "models": models, "scored": asdict(known[case.name])}) + "\n")
                file.flush()
                print(f"{case.name}: {known[case.name].middle} in {time.perf_counter() - started:.1f} s", flush=True)
            log.append(known[case.name])
    return log


def _measured(case: Case, candidates: Sequence[AnatomyCandidate]) -> Scored:
    stacks = case.stacks()
    middle, best, wrong, side = {}, {}, {}, ""
    for each in candidates:
        localizer = StudyLocalizer(stacks, each.protocol, each.model)
        middle[each.anatomy] = localizer.middle_score()
        # What an own study reaches in other orientations decides nothing.
        best[each.anatomy] = middle[each.anatomy] if each.anatomy == case.truth else localizer.best_score()
        level, found = _planned(stacks, each, candidates)
        if each.anatomy == case.truth:
            side = found
        else:
            wrong[each.anatomy] = level
    return Scored(case.name, case.truth, case.kind, case.slices, middle, best, wrong, side)


def _planned(
    stacks: Sequence[ScoutStack], candidate: AnatomyCandidate, candidates: Sequence[AnatomyCandidate]
) -> tuple[str, str]:
    """Level of the plan as that anatomy, compared with the other models, and the side that was found."""
    try:
        plan = check_anatomy(calibrate(stacks, candidate.protocol, candidate.model), candidate.model, candidates)
    except AutoVolumeError:
        return REFUSED, ""
    return plan.level, plan.frame.side


def report(
    log: Sequence[Scored], candidates: Sequence[AnatomyCandidate], limits: Mapping[str, ScoreLimit], lead: float
) -> str:
    """The tables in Markdown."""
    names = [each.anatomy for each in candidates]
    models = ", ".join(f"{each.anatomy}: {each.model.name} ({each.model.sha256[:8]})" for each in candidates)
    rows = []
    for kind in dict.fromkeys(each.kind for each in log):
        for slices in sorted({each.slices for each in log if each.kind == kind}, reverse=True):
            own = [each for each in log if (each.kind, each.slices) == (kind, slices)]
            texts = [_range([each.middle[name] for each in own]) for name in names]
            texts += [_range([each.best[name] for each in own]) for name in names]
            rows.append([kind, str(slices or "as acquired"), str(len(own)), *texts])
    head = ["Kind", "Slices", "Studies", *(f"{n}: middle" for n in names), *(f"{n}: any orientation" for n in names)]
    decided = confusion(log, {name: limit.limit for name, limit in limits.items()}, lead)
    columns = [*names, *(f"probably {name}" for name in names), NEITHER, "either"]
    matrix = [[truth, *(str(decided.get((truth, c), 0)) for c in columns)] for truth in [*names, NEITHER]]
    limit_rows = [
        [
            name,
            *(f"{v:.3f}" for v in (own.limit, own.highest_foreign, own.lowest_own)),
            "yes" if own.separates else "no",
        ]
        for name, own in limits.items()
    ]
    return (
        "\n\n".join(
            [
                f"# Recognition\n\nModels: {models}. {len(log)} studies, lead {lead:.2f}.",
                "Scores, lowest to highest (median):\n\n" + markdown_table(head, rows),
                "Limits:\n\n"
                + markdown_table(
                    ["Model", "Limit", "Highest foreign score", "Lowest own score", "Separate"], limit_rows
                ),
                "Truth (rows) and decision:\n\n" + markdown_table(["", *columns], matrix),
                "Planned as an anatomy that they do not show:\n\n" + _levels(log, names),
                _green(log),
            ]
        )
        + "\n"
    )


def _range(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[0]:.2f}-{ordered[-1]:.2f} ({ordered[len(ordered) // 2]:.2f})"


def _levels(log: Sequence[Scored], names: Sequence[str]) -> str:
    levels = (OK, "warning", "error", REFUSED)
    rows = []
    for kind in dict.fromkeys(each.kind for each in log):
        for name in names:
            found = [each.wrong_plan[name] for each in log if each.kind == kind and name in each.wrong_plan]
            if found:
                rows.append([kind, name, *(str(found.count(level)) for level in levels)])
    return markdown_table(["Shown", "Planned as", *levels], rows)


def _green(log: Sequence[Scored]) -> str:
    green = [each.name for each in log if OK in each.wrong_plan.values()]
    return f"Green although wrong: {', '.join(green)}." if green else "No wrong plan is green."


if __name__ == "__main__":
    main()
