"""The arithmetic of the network, the machine's peak, and how near to it the ways of running the network come.

Usage: ``.venv/bin/python Testing/benchmarks/network_speed.py [--threads 1 2] [--rounds 10] [--model NAME]``

Times are the fastest of all rounds, the ways taken in turn. One thread is timed by processor time, which other
programs on the machine disturb little; several by the clock on the wall, on an idle machine only. torch.compile needs
a C++ compiler; ONNX Runtime (with onnx and onnxscript) and OpenVINO are measured where they are installed.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from AutoVolumeCalibrationLib.core.detection.detector import (  # noqa: E402
    BATCH,  # noqa: E402
    StackDetections,  # noqa: E402
    detect,  # noqa: E402
)
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import (  # noqa: E402
    load_model,  # noqa: E402
    read_metadata,  # noqa: E402
    read_weights,  # noqa: E402
)
from AutoVolumeCalibrationLib.core.models.store import model_folder  # noqa: E402
from AutoVolumeCalibrationLib.core.networks.registry import build_network  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402

SAMPLE = ROOT / "Resources" / "SampleData" / "ColinScouts" / "dicom"

#: Slices of the sample study, and how often the pipeline looks at each.
SLICES, LOOKS = 15, 2

#: What shows the machine's peak: the side of square matrices, and a convolution (slices, channels, pixels across).
MATRIX, CONVOLUTION = 2048, (8, 128, 64)

DTYPES = (torch.float32, torch.bfloat16)

#: A way to run the network: heatmaps of a batch (n, 4, H, W), n at most ``BATCH``.
Way = Callable[[torch.Tensor], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--model")
    arguments = parser.parse_args()
    stacks, model = read_scouts([SAMPLE]), load_model(arguments.model, "cpu", "torch")
    # Wrapped, networks do not tell that they may compute in bfloat16: each way is taken as it is.
    exact = replace(model, network=partial(model.network))
    batch = _recorded_batch(stacks, model)
    flop = _flop(model.network, batch[:1])
    height, width = batch.shape[2:]
    print(f"one slice of {height} x {width}: {flop / 2e9:.3f} G multiply-adds = {flop / 1e9:.3f} GFLOP")
    print(f"{SLICES} slices seen {LOOKS} times: {SLICES * LOOKS * flop / 1e9:.1f} GFLOP")
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        reference = detect(stacks, exact)
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            peaks = {dtype: _convolution_flops(dtype, threads) for dtype in DTYPES}
            products = {dtype: _product_flops(dtype, threads) for dtype in DTYPES}
            print(f"\n{threads} threads, peak in GFLOP/s")
            for what, reached in (("3x3 convolution", peaks), ("matrix product", products)):
                print(f"  {what}: " + ", ".join(f"{str(d)[6:]} {flops / 1e9:.0f}" for d, flops in reached.items()))
            print()
            ways = _ways(arguments.model, model, batch, threads, Path(folder))
            calls = {name: partial(way, batch) for name, way in ways.items()}
            seconds = _fastest(calls, arguments.rounds, threads)
            rows = []
            for name, way in ways.items():
                per_slice = seconds[name] / len(batch)
                share = flop / per_slice / peaks[torch.bfloat16 if "bfloat16" in name else torch.float32]
                moved = _moved_mm(reference, detect(stacks, replace(model, network=partial(way))), model.threshold)
                rows.append([name, f"{per_slice * 1e3:.2f}", f"{flop / per_slice / 1e9:.0f}", f"{share:.0%}", moved])
            print(markdown_table(["way", "ms per slice", "GFLOP/s", "of the convolution's", "peaks moved, mm"], rows))


def _recorded_batch(stacks, model: LandmarkModel) -> torch.Tensor:
    """The first batch of slices as the network gets it."""
    batches = []

    def recording(batch: torch.Tensor) -> torch.Tensor:
        batches.append(batch)
        return model.network(batch)

    detect(stacks, replace(model, network=recording))
    return batches[0]


def _flop(network: torch.nn.Module, slices: torch.Tensor) -> int:
    """Floating-point operations of convolutions and matrix products, a multiply-add counted as two."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(slices)
    return counter.get_total_flops()


def _product_flops(dtype: torch.dtype, threads: int) -> float:
    """Floating-point operations per second of a large matrix product."""
    left, right = (torch.randn(MATRIX, MATRIX, dtype=dtype) for _ in range(2))
    return 2 * MATRIX**3 / _fastest({"": lambda: left @ right}, 5, threads)[""]


def _convolution_flops(dtype: torch.dtype, threads: int) -> float:
    """Floating-point operations per second of a large convolution, channels last."""
    slices, channels, across = CONVOLUTION
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1).to(dtype, memory_format=torch.channels_last)
    image = torch.randn(slices, channels, across, across, dtype=dtype).contiguous(memory_format=torch.channels_last)
    flop = 2 * 9 * slices * (channels * across) ** 2
    return flop / _fastest({"": lambda: layer(image)}, 5, threads)[""]


def _fastest(calls: dict[str, Callable[[], object]], rounds: int, threads: int) -> dict[str, float]:
    """Seconds of the fastest run of each call, the first run left out."""
    clock = time.process_time if threads == 1 else time.perf_counter
    fastest = dict.fromkeys(calls, math.inf)
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            started = clock()
            call()
            fastest[name] = min(fastest[name], clock() - started)
    return fastest


def _moved_mm(before: list[StackDetections], after: list[StackDetections], threshold: float) -> str:
    """Median and largest distance in the slices by which the peaks that count were moved."""
    of_stacks = [
        np.linalg.norm(b.points_mm - a.points_mm, axis=-1)[b.peak_values >= threshold]
        for b, a in zip(before, after, strict=True)
    ]
    distances = np.concatenate(of_stacks)
    return f"{np.median(distances):.3f}, at most {distances.max():.2f}"


def _ways(name: str | None, model: LandmarkModel, batch: torch.Tensor, threads: int, folder: Path) -> dict[str, Way]:
    """The ways to run the network that this machine has."""
    trained = _trained_network(name)
    ways = {
        "as trained": lambda part: trained(part.contiguous()),
        "as trained, channels last": trained,
        "norms folded": model.network,
        "norms folded, bfloat16": partial(_in_bfloat16, model.network),
    }
    if shutil.which("g++"):
        ways["torch.compile"] = _whole_batches(torch.compile(model.network))
    if all(map(find_spec, ("onnxruntime", "onnx", "onnxscript"))):
        ways["ONNX Runtime"] = _whole_batches(_onnx_runtime(model.network, batch, threads, folder))
    if find_spec("openvino"):
        for way, precision in (("OpenVINO", "f32"), ("OpenVINO, bfloat16", "bf16")):
            ways[way] = _whole_batches(_openvino(model.network, batch, threads, precision))
    return ways


def _trained_network(name: str | None) -> torch.nn.Module:
    """The network as it was trained, its norms not folded."""
    folder = model_folder(name)
    metadata = read_metadata(folder)
    network = build_network(metadata["network"]["architecture"], metadata["network"]["options"])
    network.load_state_dict(read_weights(folder, metadata["weights"]))
    return network.eval()


def _in_bfloat16(network: torch.nn.Module, part: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return network(part)


def _whole_batches(way: Way) -> Way:
    """For ways that are made for one size: the last batch is filled up."""

    def run(part: torch.Tensor) -> torch.Tensor:
        filled = torch.cat([part, part.new_zeros(BATCH - len(part), *part.shape[1:])])
        return way(filled.contiguous(memory_format=torch.channels_last))[: len(part)]

    return run


def _onnx_runtime(network: torch.nn.Module, batch: torch.Tensor, threads: int, folder: Path) -> Way:
    import onnxruntime

    file = folder / "network.onnx"
    if not file.exists():
        with torch.inference_mode(False):
            torch.onnx.export(network, (batch.clone(),), file, input_names=["image"], dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda part: torch.from_numpy(session.run(None, {"image": part.contiguous().numpy()})[0])


def _openvino(network: torch.nn.Module, batch: torch.Tensor, threads: int, precision: str) -> Way:
    import openvino

    converted = openvino.convert_model(network, example_input=batch, input=list(batch.shape))
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    compiled = openvino.compile_model(converted, "CPU", settings)
    return lambda part: torch.from_numpy(compiled(part.contiguous().numpy())[0].copy())


if __name__ == "__main__":
    main()
