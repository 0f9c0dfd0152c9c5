"""``batch``: many studies, each with its own folder and outcome, and a table of them all."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.cli import batch_command, batch_study
from AutoVolumeCalibrationLib.core.storage import results
from AutoVolumeCalibrationLib.core.workflow import pipeline
from AutoVolumeCalibrationLib.service.engine import workers
from AutoVolumeCalibrationLib.service.engine.records import MOST_ATTEMPTS, Record, Records
from command_line import MIDDLE_SLICES, PLANNED_CODES, RESULT_FILES, SAMPLE, assert_refused, files_in

pytestmark = pytest.mark.usefixtures("no_picture")

#: What most tests are about does not depend on where studies are planned; workers take seconds to start.
HERE = ("--workers", "0")


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder of two studies that can be planned, and one that cannot, which comes second."""
    for name in ("a", "c"):
        (tmp_path / "studies" / name).mkdir(parents=True)
        for path in MIDDLE_SLICES:
            shutil.copy(path, tmp_path / "studies" / name)
    (tmp_path / "studies" / "b").mkdir()
    (tmp_path / "studies" / "b" / "notes.txt").write_text("no scouts")
    return tmp_path / "studies"


def table(folder: Path) -> dict[str, tuple[int, str]]:
    """Study -> exit code and message of a batch.csv, in its order."""
    with open(folder / "batch.csv", newline="", encoding="utf-8") as file:
        return {row["study"]: (int(row["exit_code"]), row["message"]) for row in csv.DictReader(file)}


def write_manifest(path: Path, *rows: str, header: str = "study,scouts") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def results_in(folder: Path) -> set[str]:
    """The files of a batch for its user, without what it keeps for itself."""
    return {name for name in files_in(folder) if not name.startswith(".batch/")}


def assert_two_planned_one_refused(folder: Path) -> None:
    outcomes = table(folder)
    assert list(outcomes) == ["a", "b", "c"]
    assert outcomes["b"][0] == 3
    assert "no DICOM or image file" in outcomes["b"][1]
    for study in "ac":
        assert outcomes[study][0] in PLANNED_CODES
        assert set(files_in(folder / study)) == RESULT_FILES
    assert not (folder / "b").exists()


def test_a_bad_study_does_not_keep_the_others_from_being_planned(autovolume, studies, tmp_path):
    ran = autovolume("batch", studies, "--output", tmp_path / "out", *HERE)
    assert ran.code == 3
    assert ran.err == ""
    assert [line.split(":")[0] for line in ran.out.splitlines()] == ["1/3  a", "2/3  b", "3/3  c"]
    assert_two_planned_one_refused(tmp_path / "out")


@pytest.mark.slow
def test_worker_processes_give_the_same(autovolume, studies, tmp_path):
    """One study to be planned is enough: every worker that plans loads the model first."""
    pytest.importorskip("distributed", reason="needs dask.distributed (the extra cluster)")
    shutil.rmtree(studies / "a")
    (studies / "a").mkdir()
    ran = autovolume("batch", studies, "--output", tmp_path / "out", "--workers", "2")
    assert ran.code == 3
    lines = [line.split(":")[0] for line in ran.out.splitlines()]
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert sorted(line.split()[1] for line in lines) == ["a", "b", "c"]
    assert ran.err == ""
    outcomes = table(tmp_path / "out")
    assert [outcomes[study][0] for study in "ab"] == [3, 3]
    assert outcomes["c"][0] in PLANNED_CODES
    assert results_in(tmp_path / "out") == {"batch.csv"} | {f"c/{name}" for name in RESULT_FILES}


def test_a_manifest_names_studies_and_their_files(autovolume, studies, tmp_path):
    slices = "; ".join(f"studies/a/{path.name}" for path in MIDDLE_SLICES)
    manifest = write_manifest(tmp_path / "list.csv", f"first,{slices}", "second,studies/c")
    assert autovolume("batch", manifest, "--output", tmp_path / "out", *HERE).code in PLANNED_CODES
    assert list(table(tmp_path / "out")) == ["first", "second"]
    assert set(files_in(tmp_path / "out" / "first")) == RESULT_FILES


def test_resume_goes_on_where_results_are_missing_and_completes_the_table(autovolume, studies, tmp_path, monkeypatch):
    out = tmp_path / "out"
    autovolume("batch", studies, "--output", out, *HERE)
    shutil.rmtree(out / "c")
    (studies / "b" / "notes.txt").unlink()
    for path in MIDDLE_SLICES:
        shutil.copy(path, studies / "b")
    before, table_before = files_in(out / "a"), table(out)
    ran = autovolume("batch", studies, "--output", out, *HERE, "--resume")
    assert ran.code in PLANNED_CODES
    assert [line.split(":")[0] for line in ran.out.splitlines()] == [
        "1 of 3 studies have these results already",
        "1/2  b",
        "2/2  c",
    ]
    assert files_in(out / "a") == before
    assert list(table(out)) == ["a", "b", "c"]
    assert table(out)["a"] == table_before["a"]
    monkeypatch.setattr(batch_study, "plan_study", None)
    assert autovolume("batch", studies, "--output", out, *HERE, "--resume").code == ran.code
    (out / "b" / "calibration.json").write_text("{")
    assert autovolume("batch", studies, "--output", out, *HERE, "--resume").code == 1  # tries to plan it again
    assert "TypeError" in table(out)["b"][1]


def test_results_are_replaced_only_where_that_is_wanted(autovolume, studies, tmp_path):
    shutil.rmtree(studies / "b")
    shutil.rmtree(studies / "c")
    arguments = ["batch", studies, "--output", tmp_path / "out", *HERE]
    assert autovolume(*arguments).code in PLANNED_CODES
    before = files_in(tmp_path / "out")
    assert_refused(autovolume(*arguments), 2, "--overwrite")
    assert files_in(tmp_path / "out") == before
    assert autovolume(*arguments, "--overwrite").code in PLANNED_CODES


def test_a_study_may_have_the_name_of_the_folder_of_an_earlier_plan(autovolume, studies, tmp_path):
    shutil.rmtree(studies / "b")
    (studies / "a").rename(studies / "previous")
    assert autovolume("batch", studies, "--output", tmp_path / "out", *HERE).code in PLANNED_CODES
    assert set(files_in(tmp_path / "out" / "previous")) == RESULT_FILES


def test_a_part_makes_no_table_of_what_another_request_planned(autovolume, studies, tmp_path):
    arguments = ["batch", studies, "--output", tmp_path / "out", *HERE, "--resume"]
    for part in ("1/2", "2/2"):
        autovolume(*arguments, "--shard", part)
    assert list(table(tmp_path / "out")) == ["a", "b", "c"]
    (tmp_path / "out" / "batch.csv").unlink()
    autovolume(*arguments, "--shard", "1/2", "--protocol", "BrainSagittal3D")
    assert not (tmp_path / "out" / "batch.csv").exists()
    autovolume(*arguments, "--shard", "2/2", "--protocol", "BrainSagittal3D")
    assert list(table(tmp_path / "out")) == ["a", "b", "c"]


def test_an_output_folder_among_the_studies_is_no_study(autovolume, studies):
    shutil.rmtree(studies / "c")
    (studies / ".hidden").mkdir()
    autovolume("batch", studies, "--output", studies / "results", *HERE)
    autovolume("batch", studies, "--output", studies / "results", *HERE, "--resume")
    assert list(table(studies / "results")) == ["a", "b"]


def test_where_every_study_fails_the_table_says_why(autovolume, tmp_path):
    manifest = write_manifest(tmp_path / "list.csv", "a,none", "b,nothing")
    assert autovolume("batch", manifest, "--output", tmp_path / "out", *HERE).code == 3
    assert {study: code for study, (code, _) in table(tmp_path / "out").items()} == {"a": 3, "b": 3}
    assert results_in(tmp_path / "out") == {"batch.csv"}


def test_a_cancelled_batch_keeps_what_it_has_done(autovolume, studies, tmp_path, monkeypatch):
    locate, calls = pipeline.locate, []

    def cancelled_at_the_second(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return locate(*arguments, **options)

    monkeypatch.setattr(pipeline, "locate", cancelled_at_the_second)
    ran = autovolume("batch", studies, "--output", tmp_path / "out", *HERE)
    assert ran.code == 130
    assert ran.err == "autovolume: cancelled with 2 of 3 studies done. --resume goes on\n"
    assert list(table(tmp_path / "out")) == ["a", "b"]
    assert not (tmp_path / "out" / "c").exists()


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ["a"],
        ["a,"],
        ["a,x", "a,y"],
        ["../a,x"],
        ["..,x"],
        [".,x"],
        ["/a,x"],
        ["a\\b,x"],
        ["batch.csv,x"],
        ["batch-1of2.csv,x"],
    ],
    ids=str,
)
def test_a_manifest_that_names_no_sound_studies_is_refused(autovolume, tmp_path, rows):
    manifest = write_manifest(tmp_path / "list.csv", *rows)
    assert_refused(autovolume("batch", manifest, "--output", tmp_path / "out", *HERE), 3, manifest)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, b"", b"name,path\na,x\n", b"\xff\xfe\x00\x01,\x80", b"study,scouts\n\0,x\n"])
def test_a_file_that_is_no_manifest_is_refused(autovolume, tmp_path, content):
    path = tmp_path / "list.csv"
    if content is not None:
        path.write_bytes(content)
    assert_refused(autovolume("batch", path, "--output", tmp_path / "out", *HERE), 3, path)


def test_a_folder_with_the_name_of_a_table_is_refused(autovolume, studies, tmp_path):
    (studies / "b").rename(studies / "Batch-2of3.csv")
    assert_refused(autovolume("batch", studies, "--output", tmp_path / "out", *HERE), 3, "Batch-2of3.csv")


def test_a_folder_without_studies_is_refused(autovolume, tmp_path):
    (tmp_path / "studies").mkdir()
    assert_refused(
        autovolume("batch", tmp_path / "studies", "--output", tmp_path / "out", *HERE), 3, tmp_path / "studies"
    )


def test_what_no_study_can_do_without_is_asked_for_first(autovolume, studies, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert_refused(autovolume("batch", studies, "--output", tmp_path / "out", *HERE, "--protocol", "Flat"), 4, "Flat")
    assert_refused(autovolume("batch", studies, "--output", tmp_path / "file", *HERE), 2, tmp_path / "file")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["protocol", "scouts"])
def test_resume_plans_again_what_was_planned_otherwise(autovolume, studies, tmp_path, monkeypatch, change):
    for name in ("b", "c"):
        shutil.rmtree(studies / name)
    arguments = ["batch", studies, "--output", tmp_path / "out", *HERE]
    autovolume(*arguments)
    flags = ["--protocol", "BrainSagittal3D"] if change == "protocol" else []
    if change == "scouts":
        shutil.copy(SAMPLE / "dicom" / "0004.dcm", studies / "a" / "0003.dcm")
    planned: list[object] = []
    plan_study = batch_study.plan_study
    monkeypatch.setattr(batch_study, "plan_study", lambda *args: planned.append(args) or plan_study(*args))
    autovolume(*arguments, "--resume", *flags)
    assert len(planned) == 1
    autovolume(*arguments, "--resume", *flags)
    assert len(planned) == 1


def test_resume_believes_the_records_and_reads_no_results(autovolume, studies, tmp_path, monkeypatch):
    for name in ("b", "c"):
        shutil.rmtree(studies / name)
    arguments = ["batch", studies, "--output", tmp_path / "out", *HERE, "--resume"]
    code = autovolume(*arguments).code
    before = table(tmp_path / "out")
    monkeypatch.setattr(results, "read_results", None)
    monkeypatch.setattr(batch_study, "plan_study", None)
    assert autovolume(*arguments).code == code
    assert table(tmp_path / "out") == before


def test_a_study_that_ended_its_worker_too_often_is_left_out_until_that_is_asked_for(autovolume, studies, tmp_path):
    for name in ("b", "c"):
        shutil.rmtree(studies / name)
    out = tmp_path / "out"
    arguments = ["batch", studies, "--output", out, *HERE, "--resume"]
    autovolume(*arguments)
    records = Records(out.absolute() / ".batch")
    shutil.rmtree(out / "a")
    records.write("a", Record(records.read("a").key, attempts=MOST_ATTEMPTS))
    assert autovolume(*arguments).code == 3
    assert "a: the worker died 3 times" in table(out)["a"][1]
    assert not (out / "a").exists()
    assert autovolume(*arguments, "--retry-killed").code in PLANNED_CODES


def test_without_dask_a_batch_runs_in_this_process_and_says_so(autovolume, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "cluster_is_installed", lambda: False)
    manifest = write_manifest(tmp_path / "list.csv", "a,none")
    ran = autovolume("batch", manifest, "--output", tmp_path / "out")
    assert (ran.code, list(table(tmp_path / "out"))) == (3, ["a"])
    assert "dask.distributed is not installed" in ran.err
    assert_refused(autovolume("batch", manifest, "--output", tmp_path / "two", "--workers", "2"), 2, "[cluster]")


@pytest.mark.parametrize("flags", [["--shard", "3/2"], ["--shard", "0/2"], ["--shard", "x"], ["--time-limit", "0"]])
def test_flags_out_of_range_are_refused(autovolume, studies, tmp_path, flags):
    assert_refused(autovolume("batch", studies, "--output", tmp_path / "out", *flags), 2, flags[1])


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (12000, "3 h 20 min")])
def test_a_duration_is_written_for_people(seconds, text):
    assert batch_command.duration_text(seconds) == text
