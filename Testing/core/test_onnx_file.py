"""An ONNX file is data: what names other files or operators of its own is refused before ONNX Runtime sees it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.detection.backends.onnx_network import OnnxNetwork
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.models import onnx_file
from AutoVolumeCalibrationLib.core.models.onnx_file import read_graph, reason_to_refuse

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper


def halved(inputs=("image",), output="heatmaps", stride=2, landmarks=4):
    """A model that gives every second pixel of the image."""
    ends = [[f"{name}0", f"{name}1", landmarks, f"{name}3"] for name in ("h", "w")]
    nodes = [helper.make_node("MaxPool", ["image"], [output], kernel_shape=[1, 1], strides=[stride, stride])]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 4, "h", "w"]) for name in inputs]
    answer = helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["n", 4, ends[0][0], ends[1][0]])
    graph = helper.make_graph(nodes, "halved", values, [answer])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tensor(name="t"):
    return numpy_helper.from_array(np.ones(3, np.float32), name)


def external(name="t"):
    made = tensor(name)
    onnx.external_data_helper.set_external_data(made, "../../secret.bin")
    made.ClearField("raw_data")
    return made


def constant_node(value):
    return helper.make_node("Constant", [], ["c"], value=value)


def with_initializer(model):
    model.graph.initializer.append(external())


def with_constant(model):
    model.graph.node.append(constant_node(external()))


def with_constants(model):
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=[external()]))


def with_foreign_operator(model):
    model.graph.node.append(helper.make_node("ReadFile", ["image"], ["c"], domain="my.company"))


def with_branch(model):
    branch = helper.make_graph([constant_node(tensor())], "b", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["c"], then_branch=branch, else_branch=branch))


def with_function(model):
    model.functions.append(helper.make_function("my", "f", ["x"], ["y"], [], [helper.make_opsetid("", 17)]))


def with_sparse(model):
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(external(), tensor("i"), [3]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_initializer, "another file"),
        (with_constant, "another file"),
        (with_constants, "another file"),
        (with_foreign_operator, "not standard"),
        (with_branch, "loops or branches"),
        (with_function, "operators of its own"),
        (with_sparse, "sparse"),
    ],
)
def test_what_is_more_than_numbers_and_standard_operators_is_refused(change, reason):
    model = halved()
    assert reason_to_refuse(model.SerializeToString()) == ""
    change(model)
    assert reason in reason_to_refuse(model.SerializeToString())


def test_numbers_in_the_file_are_accepted():
    model = halved()
    model.graph.initializer.append(tensor())
    model.graph.node.append(constant_node(tensor()))
    assert reason_to_refuse(model.SerializeToString()) == ""


def test_a_file_without_graph_is_refused():
    assert reason_to_refuse(b"") == "is missing"


@pytest.fixture
def bundle(tmp_path):
    """Writes bytes as the graph of a bundle; gives the folder and the entry of the metadata."""

    def write(content):
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / "model.onnx").write_bytes(content)
        return tmp_path, {"file": "models/model.onnx", "sha256": hashlib.sha256(content).hexdigest()}

    return write


def test_the_bytes_that_were_checked_are_given(bundle):
    content = halved().SerializeToString()
    assert read_graph(*bundle(content)) == content


@pytest.mark.parametrize("content", [b"\xff" * 40, b"\x3a\xff\xff\xff\x7f", b"\x38\x01", b"\x3b", b"PK\x03\x04 a zip"])
def test_what_is_no_onnx_file_is_refused(bundle, content):
    with pytest.raises(ModelError):
        read_graph(*bundle(content))


def test_cut_files_are_refused_or_left_to_onnx_runtime_which_refuses_them(bundle):
    content = halved().SerializeToString()
    for length in range(len(content)):
        with pytest.raises(ModelError):
            OnnxNetwork(read_graph(*bundle(content[:length])), "cut", False, 4, 2)


def test_another_hash_a_file_outside_and_a_large_one_are_refused(bundle, monkeypatch):
    folder, entry = bundle(halved().SerializeToString())
    with pytest.raises(ModelError, match="differs from the hash"):
        read_graph(folder, {**entry, "sha256": "0" * 64})
    with pytest.raises(ModelError, match="outside the bundle"):
        read_graph(folder, {**entry, "file": "../model.onnx"})
    with pytest.raises(ModelError, match="cannot be read"):
        read_graph(folder, {**entry, "file": "models/absent.onnx"})
    monkeypatch.setattr(onnx_file, "LARGEST_GRAPH_BYTES", 10)
    with pytest.raises(ModelError, match="refused for its size"):
        read_graph(folder, entry)


def test_a_graph_runs_and_its_heatmaps_are_checked():
    images = np.arange(2 * 4 * 8 * 6, dtype=np.float32).reshape(2, 4, 8, 6)
    network = OnnxNetwork(halved().SerializeToString(), "halved", False, 4, 2)
    assert np.array_equal(network.run(images), images[:, :, ::2, ::2])
    for wrong in ((5, 2), (4, 1)):
        with pytest.raises(ModelError, match="no heatmaps"):
            OnnxNetwork(halved().SerializeToString(), "halved", False, *wrong).run(images)


@pytest.mark.parametrize(
    ("model", "guided"), [(halved(("image", "known")), False), (halved(), True), (halved(output="y"), False)]
)
def test_other_inputs_and_outputs_are_refused(model, guided):
    with pytest.raises(ModelError, match="other inputs or outputs"):
        OnnxNetwork(model.SerializeToString(), "other", guided, 4, 2)


def test_a_graph_that_fails_says_so_in_one_line(capfd):
    network = OnnxNetwork(halved().SerializeToString(), "halved", False, 4, 2)
    with pytest.raises(ModelError, match="fails") as failed:
        network.run(np.zeros((1, 3, 8, 8), np.float32))
    assert "\n" not in str(failed.value)
    assert capfd.readouterr() == ("", "")
