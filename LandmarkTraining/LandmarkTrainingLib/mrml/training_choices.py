"""The user's choices in the window, kept in the module's parameter node and saved with the scene."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import slicer

_PARAMETER = "Choices"


@dataclass(frozen=True)
class TrainingChoices:
    """All inputs of the window; "" and 0 stand for "as in the recipe" or "none".

    Attributes:
        datasets: data-set folders to learn from; validation: one for validation only; labels: label maps.
        recipe: name of a recipe; base: model that a fine-tuning starts from, "" for the current one.
        output: parent folder of the run folders.
        extra: further settings as NAME=VALUE, one a line.
        run: the run's folder that is shown.
    """

    datasets: tuple[str, ...] = ()
    validation: str = ""
    labels: str = ""
    recipe: str = ""
    base: str = ""
    output: str = ""
    steps: int = 0
    learning_rate: float = 0.0
    device: str = "auto"
    seed: int = 0
    extra: str = ""
    run: str = ""


def write_choices(node: slicer.vtkMRMLScriptedModuleNode, choices: TrainingChoices) -> None:
    """Keep the choices in the node; an unchanged node is not modified."""
    text = json.dumps(asdict(choices), ensure_ascii=False)
    if node.GetParameter(_PARAMETER) != text:
        node.SetParameter(_PARAMETER, text)


def read_choices(node: slicer.vtkMRMLScriptedModuleNode) -> TrainingChoices | None:
    """The choices of the node, None if it has none. A choice of another type (of a later version) is left out."""
    try:
        kept = json.loads(node.GetParameter(_PARAMETER) or "")
    except ValueError:
        return None
    found: dict[str, Any] = {}
    for field in fields(TrainingChoices):
        value = kept.get(field.name) if isinstance(kept, dict) else None
        if isinstance(field.default, tuple) and isinstance(value, list) and all(isinstance(v, str) for v in value):
            found[field.name] = tuple(value)
        elif type(value) is type(field.default):
            found[field.name] = value
    return TrainingChoices(**found)
