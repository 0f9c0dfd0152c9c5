"""The notebook of the documentation runs as it is."""

from __future__ import annotations

import pytest

from documents.pages import DOCS

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

NOTEBOOK = DOCS / "notebooks" / "first_plan.ipynb"


def outputs(cell) -> dict[str, str]:
    """Kind of output -> its text, of all outputs of a cell."""
    return {kind: text for output in cell.outputs for kind, text in output.get("data", {}).items()} | {
        "printed": "".join(output.get("text", "") for output in cell.outputs)
    }


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_notebook_plans_corrects_and_shows(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent / "AutoVolumeCalibration"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    _, plan, landmarks, corrected, picture = (outputs(cell) for cell in notebook.cells if cell.cell_type == "code")
    assert "<table" in plan["text/html"]
    assert landmarks["printed"].count(" mm, sd ") == 5
    before, after = corrected["printed"].strip().split(" -> ")
    assert before != after and before.startswith("T > C")
    assert len(picture["image/png"]) > 10_000


def test_the_notebook_is_kept_without_outputs():
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert cells and all(not cell.outputs and cell.execution_count is None for cell in cells)
