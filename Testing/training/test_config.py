import dataclasses
import json

import pytest

from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import MIDDLE, SAGITTAL_PAIRS
from AutoVolumeCalibrationLib.core.errors import UsageError
from LandmarkTrainingLib.core import config
from LandmarkTrainingLib.core.config import TrainingConfig

OTHER = TrainingConfig(
    name="mine", options={"stem": 1}, train_heads=(1, 2), learning_rate=1e-4, steps=7, bf16=False, device="cpu"
)


def written(folder, content):
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_configuration_survives_its_file(tmp_path):
    assert TrainingConfig.from_json(written(tmp_path, OTHER.to_json())) == OTHER


def test_every_setting_is_written(tmp_path):
    assert set(json.loads(OTHER.to_json())) == {field.name for field in dataclasses.fields(TrainingConfig)}


def test_what_a_file_leaves_out_is_as_before(tmp_path):
    path = written(tmp_path, {"steps": 9})
    assert TrainingConfig.from_json(path) == dataclasses.replace(TrainingConfig(), steps=9)
    assert TrainingConfig.from_json(path, OTHER) == dataclasses.replace(OTHER, steps=9)


def test_the_training_part_of_a_bundle_is_read(tmp_path):
    path = written(tmp_path, {"imports": [], "training": {"seed": 5}, "run": ["$x"]})
    assert TrainingConfig.from_json(path).seed == 5


def test_pairs_on_sagittal_slices_are_what_the_detection_knows():
    assert config.SAGITTAL_PAIRS == SAGITTAL_PAIRS and TrainingConfig().sagittal_pairs == MIDDLE
    assert TrainingConfig().replaced({"sagittal_pairs": "nearest"}).sagittal_pairs == "nearest"
    with pytest.raises(UsageError, match="sagittal_pairs 'left' is unknown. Give middle or nearest."):
        TrainingConfig().replaced({"sagittal_pairs": "left"})


def test_a_whole_number_stands_for_a_fraction_and_a_list_for_a_row(tmp_path):
    config = TrainingConfig().replaced({"tau_mm": 10, "train_heads": [3, 4]})
    assert config.tau_mm == 10.0 and isinstance(config.tau_mm, float) and config.train_heads == (3, 4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"stepz": 3}, "unknown setting stepz. Did you mean steps. Known: name"),
        ({"steps": "many"}, "steps: 'many' should be a int"),
        ({"steps": 1.5}, "steps: 1.5"),
        ({"steps": True}, "steps: True"),
        ({"bf16": 1}, "bf16: 1 should be a bool"),
        ({"learning_rate": True}, "learning_rate"),
        ({"options": []}, "options"),
        ({"train_heads": 3}, "train_heads"),
        ({"name": None}, "name"),
    ],
)
def test_a_setting_that_is_unknown_or_of_another_kind_is_named(tmp_path, values, said):
    with pytest.raises(UsageError, match=said) as caught:
        TrainingConfig.from_json(written(tmp_path, values))
    assert "\n" not in str(caught.value) and "config.json" in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", "null", '{"training": 5}', '{"training": [1]}'])
def test_a_file_that_is_no_configuration_is_refused(tmp_path, content):
    with pytest.raises(UsageError, match=r"config\.json: is not a training configuration"):
        TrainingConfig.from_json(written(tmp_path, content))


def test_a_file_that_is_absent_or_no_text_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a training configuration"):
        TrainingConfig.from_json(tmp_path / "absent.json")
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    with pytest.raises(UsageError, match="is not a training configuration"):
        TrainingConfig.from_json(tmp_path / "binary.json")


def test_a_configuration_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OTHER.steps = 3
