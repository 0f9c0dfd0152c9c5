"""Change the program in small ways and count how many changes the tests notice (`make mutants`).

``groups.json`` names the modules of ``core`` that are changed and the tests of ``Testing/core`` that must notice,
quickest first. The changes are cosmic-ray's. They are made in a copy of the sources below ``build/mutants``, never in
the working tree. A run that was interrupted goes on where it stopped; when the sources have changed it starts anew.
The tests are taken as they are now, and ``--survivors`` repeats what they did not notice before.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).parents[2]
GROUPS = json.loads((Path(__file__).parent / "groups.json").read_text(encoding="utf-8"))
CORE = Path("AutoVolumeCalibration", "AutoVolumeCalibrationLib", "core")
WORK = ROOT / "build" / "mutants"
TREE = WORK / "tree"
COPIED = ("AutoVolumeCalibration", "LandmarkTraining", "Testing", "Resources", "pyproject.toml")

#: What proves nothing is left out: of arithmetic all but the opposite operator (others crash at once, and ``|`` stands
#: in annotations), of comparisons all but the negation and the moved border (``==`` for ``<=`` is often the same).
_ARITHMETIC = "Add_Sub|Sub_Add|Mul_Div|Div_Mul|Pow_Mul|FloorDiv_Div|Mod_Div"
_COMPARISONS = "Eq_NotEq|NotEq_Eq|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt|Is_IsNot|IsNot_Is"
EXCLUDED = (
    f"core/ReplaceBinaryOperator_(?!({_ARITHMETIC})$)",
    f"core/ReplaceComparisonOperator_(?!({_COMPARISONS})$)",
)

#: Lines that say how a class or a cache is made, not what the program does.
DECLARATIONS = ("@dataclass(", "@lru_cache(")

#: A change may make a loop endless; one group's tests take a few seconds.
TIMEOUT_S = 120

#: All changes of one group together.
LONGEST_RUN_S = 12 * 3600


def main() -> None:
    """Prepare or resume the run, go through the changes, print the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=220, help="changes to try, drawn at random (0: all of them)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the draw")
    parser.add_argument("--survivors", action="store_true", help="try again what was not noticed before")
    parser.add_argument("--report", action="store_true", help="print what is known so far, and nothing else")
    options = parser.parse_args()
    if not options.report:
        _copy_tree()
        if _is_stale(options):
            _start(options)
        for name in GROUPS:
            if options.survivors:
                _forget_survivors(_session(name))
            _go_through(name)
    _print_report()


def _session(group: str) -> Path:
    return WORK / f"{group}.sqlite"


def _config(group: str) -> Path:
    return WORK / f"{group}.toml"


def _copy_tree() -> None:
    """The sources and tests as they are now; what an interrupted run left changed is overwritten."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, TREE / name, dirs_exist_ok=True, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, TREE / name)


def _is_stale(options: argparse.Namespace) -> bool:
    """True unless the sessions are of these sources and of this draw; remembers what it compared."""
    digest = hashlib.sha256()
    for group in GROUPS.values():
        for module in group["modules"]:
            digest.update((ROOT / CORE / module).read_bytes())
    state = json.dumps([digest.hexdigest(), options.sample, options.seed])
    record = WORK / "state.json"
    stale = not record.exists() or record.read_text() != state
    record.write_text(state)
    return stale


def _start(options: argparse.Namespace) -> None:
    """List all changes, leave out those that prove nothing, and draw the sample."""
    for name, group in GROUPS.items():
        _session(name).unlink(missing_ok=True)
        _config(name).write_text(_config_text(group), encoding="utf-8")
        _cosmic_ray("baseline", _config(name))
        _cosmic_ray("init", _config(name), _session(name))
        _run("cosmic_ray.tools.filters.operators_filter", _session(name), _config(name))
    found = []
    for name in GROUPS:
        with use_db(_session(name), WorkDB.Mode.open) as session:
            found += [(name, item) for item in session.pending_work_items]
    found = sorted((e for e in found if not _is_declaration(e[1])), key=lambda entry: (entry[0], *_place(entry[1])))
    print(f"{len(found)} changes are possible", flush=True)
    size = min(options.sample or len(found), len(found))
    drawn = {item.job_id for _, item in random.Random(options.seed).sample(found, size)}
    skipped = WorkResult(WorkerOutcome.SKIPPED, "not drawn")
    for name in GROUPS:
        with use_db(_session(name), WorkDB.Mode.open) as session:
            left_out = [item.job_id for item in session.pending_work_items if item.job_id not in drawn]
            session.set_multiple_results(left_out, skipped)


def _config_text(group: dict) -> str:
    modules = [str(CORE / module) for module in group["modules"]]
    tests = " ".join(f"Testing/core/{test}" for test in group["tests"])
    command = f"{sys.executable} -m pytest -q -x -p no:cacheprovider -p no:warnings {tests}"
    return (
        f"[cosmic-ray]\nmodule-path = {json.dumps(modules)}\ntimeout = {TIMEOUT_S}.0\nexcluded-modules = []\n"
        f"test-command = {json.dumps(command)}\n[cosmic-ray.distributor]\nname = 'local'\n"
        f"[cosmic-ray.filters.operators-filter]\nexclude-operators = {json.dumps(EXCLUDED)}\n"
    )


def _is_declaration(item: WorkItem) -> bool:
    (change,) = item.mutations
    line = (ROOT / change.module_path).read_text(encoding="utf-8").splitlines()[change.start_pos[0] - 1]
    return line.lstrip().startswith(DECLARATIONS)


def _place(item: WorkItem) -> tuple:
    """What tells a change from all others, the same in every run."""
    (change,) = item.mutations
    return str(change.module_path), change.start_pos, change.operator_name, change.occurrence, str(change.operator_args)


def _go_through(group: str) -> None:
    print(f"{group} ...", flush=True)
    _cosmic_ray("exec", _config(group), _session(group))


def _forget_survivors(session: Path) -> None:
    with sqlite3.connect(session) as database:
        database.execute("DELETE FROM work_results WHERE test_outcome = ?", (TestOutcome.SURVIVED.name,))


def _cosmic_ray(*arguments: object) -> None:
    _run("cosmic_ray.cli", *arguments)


def _run(module: str, *arguments: object) -> None:
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], cwd=TREE, check=True, timeout=LONGEST_RUN_S)


def _print_report() -> None:
    """Survivors with their changes, then the score of each group and of all together."""
    noticed, tried, lines = 0, 0, []
    for name in GROUPS:
        with use_db(_session(name), WorkDB.Mode.open) as session:
            done = [(i, r) for i, r in session.completed_work_items if r.worker_outcome != WorkerOutcome.SKIPPED]
            waiting = len(session.pending_work_items)
        survivors = [(i, r) for i, r in done if not r.is_killed]
        for item, result in sorted(survivors, key=lambda entry: _place(entry[0])):
            print(f"\n{item.mutations[0].module_path}:{item.mutations[0].start_pos[0]}")
            print(
                "\n".join(
                    line for line in (result.diff or "").splitlines() if line[:1] in "+-" and line[1:2] not in "+-"
                )
            )
        lines.append(f"{name:14}{len(done) - len(survivors):5} of {len(done):4} noticed, {waiting} to do")
        noticed, tried = noticed + len(done) - len(survivors), tried + len(done)
    low, high = _wilson(noticed, tried)
    print("\n" + "\n".join(lines))
    print(
        f"score {noticed} of {tried}: {100 * noticed / max(1, tried):.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f})"
    )


def _wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not trials:
        return 0.0, 1.0
    z, share = 1.96, successes / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return middle - half, middle + half


if __name__ == "__main__":
    main()
