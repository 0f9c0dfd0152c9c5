"""Recipe: how to train, with every setting under Advanced."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.models.backend import DEVICES
from AutoVolumeCalibrationLib.widgets.shared.enabling import allow

from ..core.config import TrainingConfig
from ..core.runs.recipes import FINETUNE, RECIPES, Recipe, find_recipe
from ..core.runs.run_request import settings_from_text
from .choices import Choices
from .engine import TrainingEngine


class RecipeSection:
    """Chooses a recipe and the settings that differ from it."""

    def __init__(self, ui, choices: Choices, engine: TrainingEngine) -> None:
        self._ui, self._choices, self._engine = ui, choices, engine
        for recipe in RECIPES:
            ui.recipeComboBox.addItem(_(recipe.title), recipe.name)
        for device in DEVICES:
            ui.deviceComboBox.addItem(device, device)
        self._combos = {"recipe": ui.recipeComboBox, "base": ui.baseComboBox, "device": ui.deviceComboBox}
        self._numbers = {"steps": ui.stepsSpinBox, "learning_rate": ui.rateSpinBox, "seed": ui.seedSpinBox}
        self._updating = False
        #: The protocol that the first entry of the base models is about.
        self._base_of: str | None = None
        self.fill()
        for name, combo in self._combos.items():
            combo.connect("currentIndexChanged(int)", lambda index, name=name: self._on_combo(name, index))
        for name, box in self._numbers.items():
            signal = "valueChanged(double)" if name == "learning_rate" else "valueChanged(int)"
            box.connect(signal, lambda value, name=name: self._change(**{name: value}))
        ui.outputPath.filters = ctk.ctkPathLineEdit.Dirs
        ui.outputPath.connect("currentPathChanged(QString)", lambda text: self._change(output=text))
        ui.extraText.connect("textChanged()", lambda: self._change(extra=ui.extraText.plainText))
        ui.baseFolderButton.connect("clicked()", self._on_base_folder)
        ui.lossEdit.connect("textChanged(QString)", lambda _text: self._choices.changed.emit())

    @property
    def recipe(self) -> Recipe:
        return find_recipe(self._choices.now.recipe)

    @property
    def loss_file(self) -> str:
        """FILE.py:FUNCTION of the user's own loss, "" for none.

        It is code: it is not kept in the scene, so that a scene from elsewhere cannot name one.
        """
        return str(self._ui.lossEdit.text).strip()

    def settings(self) -> dict:
        """The settings that differ from the recipe.

        Raises:
            UsageError: a line of the settings is not NAME=VALUE, or a setting is unknown or of the wrong kind.
        """
        chosen = self._choices.now
        settings = {"device": chosen.device, "seed": chosen.seed}
        settings |= {name: value for name in ("steps", "learning_rate") if (value := getattr(chosen, name))}
        settings |= settings_from_text(chosen.extra)
        TrainingConfig().replaced(settings, source=_("Settings"))
        return settings

    def why_not_valid(self) -> str:
        """What is wrong with the settings, as a sentence."""
        try:
            self.settings()
        except UsageError as error:
            return str(error)
        if self.recipe.needs_protocol and not self.named_protocol():
            return _("Name the protocol of the anatomy in the settings (Advanced): protocol=PATH/MyProtocol.json")
        if self.loss_file and not re.fullmatch(r".+\.py:\w+", self.loss_file):
            return _("Name your own loss (Advanced) as PATH/loss.py:function.")
        return "" if self._choices.now.output else _("Choose an output folder (Advanced).")

    def protocol(self) -> str:
        """Name of the protocol whose landmarks the model learns."""
        return self.named_protocol() or TrainingConfig().protocol

    def named_protocol(self) -> str | None:
        """The protocol that the user named in the settings, None where there is none."""
        try:
            return self.settings().get("protocol")
        except UsageError:
            return None

    def fill(self) -> None:
        """List the installed models; the selection stays."""
        base, chosen = self._ui.baseComboBox, self._choices.now.base
        self._updating = True
        base.clear()
        base.addItem("", "")
        self._show_default_base()
        for name in self._engine.models():
            base.addItem(name, name)
        if base.findData(chosen) < 0:
            base.addItem(Path(chosen).name, chosen)
        self._updating = False
        self.update()

    def _show_default_base(self) -> None:
        """The first entry: the model in use that a fine-tuning to the named protocol starts from."""
        self._base_of = self.named_protocol()
        name = self._engine.base_model(self._base_of)
        self._ui.baseComboBox.setItemText(0, _("current ({name})").format(name=name))

    def update(self) -> None:
        """Show the current choices."""
        chosen = self._choices.now
        if self.named_protocol() != self._base_of:
            self._show_default_base()
        if self._ui.baseComboBox.findData(chosen.base) < 0:
            self.fill()
            return
        self._updating = True
        for name, combo in self._combos.items():
            combo.setCurrentIndex(max(0, combo.findData(getattr(chosen, name))))
        for name, box in self._numbers.items():
            box.value = getattr(chosen, name)
        if self._ui.outputPath.currentPath != chosen.output:
            self._ui.outputPath.currentPath = chosen.output
        if self._ui.extraText.plainText != chosen.extra:
            self._ui.extraText.plainText = chosen.extra
        self._updating = False
        self._ui.recipeLabel.text = _(self.recipe.description)
        unused = "" if self.recipe.command == FINETUNE else _("This recipe starts from random weights.")
        allow(self._ui.baseComboBox, _("The model that fine-tuning starts from"), unused)
        allow(self._ui.baseFolderButton, _("Choose the folder of a model bundle"), unused)

    def _on_combo(self, name: str, index: int) -> None:
        self._change(**{name: self._combos[name].itemData(index)})

    def _change(self, **values: Any) -> None:
        if not self._updating:
            self._choices.change(**values)

    def _on_base_folder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self._ui.baseFolderButton, _("Model bundle"))
        if folder:
            self._choices.change(base=folder)
