"""What all tests share: where they may run, and the optional data outside the repository."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Several test processes share the cores: threads of torch and BLAS that wait by spinning would slow all of them, and
# sums in another order would make seeded results depend on the machine. Set before anything loads torch; inherited.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def inside_slicer() -> bool:
    """True in the Slicer application (slicer-core alone has no ``slicer.app``)."""
    try:
        import slicer
    except ImportError:
        return False
    return hasattr(slicer, "app")


def has_cuda() -> bool:
    """True where torch sees a CUDA device."""
    import torch

    return torch.cuda.is_available()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot answer; the question is only asked when a test needs the answer."""
    needs = {"slicer_app": (inside_slicer, "the Slicer application"), "gpu": (has_cuda, "a CUDA device")}
    for marker, (available, what) in needs.items():
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and not available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=f"needs {what}"))


def pytest_collection_finish() -> None:
    """What the collection loaded stays for ever: the garbage collector need not go through it after every few tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def no_models_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have promoted models; no test sees or changes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOVOLUME_MODELS", str(tmp_path_factory.mktemp("models") / "none"))
        yield


@pytest.fixture
def shared_data() -> Path:
    """The folder of evaluation data outside the repository, named by AUTOVOLUME_DATA."""
    folder = os.environ.get("AUTOVOLUME_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the evaluation data: set AUTOVOLUME_DATA to its folder")
    return Path(folder)
