"""Give the encoder of a U-Net++ the weights of a public classifier (ImageNet), from a file or downloaded.

Parameter names are those of torchvision (VGG, ResNet, ResNeXt), and of lukemelas' EfficientNet-PyTorch or MONAI.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets.efficientnet import url_map

from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
from AutoVolumeCalibrationLib.core.models.bundle import LARGEST_WEIGHTS_BYTES, sha256_of
from AutoVolumeCalibrationLib.core.networks.architectures.encoder_unet_plus_plus import EncoderUNetPlusPlus

_logger = logging.getLogger(__name__)

_TORCHVISION = "https://download.pytorch.org/models/"
#: Encoder -> ImageNet weights. The end of a name is the beginning of the file's SHA-256.
ENCODER_URLS = {
    "vgg19": f"{_TORCHVISION}vgg19-dcbb9e9d.pth",
    "vgg19_bn": f"{_TORCHVISION}vgg19_bn-c79401a0.pth",
    "resnet18": f"{_TORCHVISION}resnet18-f37072fd.pth",
    "resnet34": f"{_TORCHVISION}resnet34-b627a593.pth",
    "resnet50": f"{_TORCHVISION}resnet50-0676ba61.pth",
    "resnet101": f"{_TORCHVISION}resnet101-63fe2227.pth",
    "resnext50_32x4d": f"{_TORCHVISION}resnext50_32x4d-7cdf4587.pth",
    "resnext101_32x8d": f"{_TORCHVISION}resnext101_32x8d-8ba56ff5.pth",
    **{name: url for name, url in url_map.items() if name.startswith("efficientnet-")},
}
#: In place of a file: the weights of ``ENCODER_URLS``.
PUBLIC = "public"

#: Layers that only a classifier uses, in any family.
_CLASSIFIER = ("classifier.", "fc.", "_fc.", "_conv_head.", "_bn1.")
#: MONAI puts EfficientNet's blocks into stacks: ``_blocks.<stack>.<block>.`` for ``_blocks.<block>.``.
_STACK = re.compile(r"^_blocks\.\d+\.(\d+\.)")
#: Part of a file's name that holds its hash, as in ``torch.hub``.
_HASH = re.compile(r"-([0-9a-f]{8,64})\.")
#: Batch norm's count of batches: not used here, and absent from old checkpoints.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class EncoderReport:
    """How a checkpoint's tensors were used; ``str()`` is one line for a log.

    Attributes:
        loaded, missing: names of the encoder's tensors that the checkpoint holds, and that stayed as they were.
        unexpected: names in the checkpoint that the encoder does not have.
        classifier: likewise, but of the classifier, which a landmark network does not have.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    classifier: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors of the encoder loaded"]
        for names, text in (
            (self.missing, "not in the checkpoint"),
            (self.unexpected, "not in the encoder"),
            (self.classifier, "of the classifier, not used"),
        ):
            if names:
                more = ", ..." if len(names) > 3 else ""
                parts.append(f"{len(names)} {text} ({', '.join(names[:3])}{more})")
        return "; ".join(parts)


def pretrain_encoder(network: torch.nn.Module, weights: str | Path, cache: Path | None = None) -> EncoderReport:
    """Load a network's encoder from a file, or with ``PUBLIC`` from ``ENCODER_URLS``.

    Args:
        network: an ``encoder_unet_plus_plus``, or a network around one.
        weights: .pth, .pt or .safetensors file with a state dict; or ``PUBLIC``.
        cache: folder of downloaded files; torch's own when None.

    Raises:
        UsageError: the network has no such encoder, or the file needs a package that is not installed.
        ModelError: the weights cannot be downloaded or read, are damaged, or are not of this encoder.
    """
    name = _with_encoder(network).encoder_name
    path = download_encoder_weights(name, cache) if str(weights) == PUBLIC else Path(weights)
    return load_encoder_weights(network, read_weights(path), source=str(path))


def load_encoder_weights(
    network: torch.nn.Module, weights: Mapping[str, Any], source: str = "encoder weights"
) -> EncoderReport:
    """Put a classifier's state dict into the network's encoder, in place; a refused state dict changes nothing.

    Args:
        source: where the weights are from, for messages.

    Raises:
        UsageError: the network has no such encoder.
        ModelError: no tensor is the encoder's, one has another shape than the encoder's, or is not finite.
    """
    owner = _with_encoder(network)
    wanted = {key: value for key, value in owner.encoder.state_dict().items() if not key.endswith(_COUNTER)}
    own_name = {_STACK.sub(r"_blocks.\1", key): key for key in wanted} | {key: key for key in wanted}
    stem = next(iter(wanted))
    loaded: dict[str, torch.Tensor] = {}
    for key in (key for key in weights if key in own_name):
        name, value = own_name[key], weights[key]
        value = grey_stem(value, wanted[name].shape[1]) if name == stem else value
        _require_fitting(key, value, wanted[name], owner.encoder_name, source)
        loaded[name] = value
    others = [key for key in weights if key not in own_name and not key.endswith(_COUNTER)]
    if not loaded:
        held = f"it holds {others[0]}" if others else "it is empty"
        raise ModelError(
            f"has no tensor of {owner.encoder_name} ({held})", source=source, remedy=_remedy(owner.encoder_name)
        )
    owner.encoder.load_state_dict(loaded, strict=False)
    return EncoderReport(
        tuple(loaded),
        tuple(key for key in wanted if key not in loaded),
        tuple(key for key in others if not key.startswith(_CLASSIFIER)),
        tuple(key for key in others if key.startswith(_CLASSIFIER)),
    )


def grey_stem(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """A first convolution (n, colours, h, w) for images (image, plane indicators): (n, ``channels``, h, w).

    The image's filter is the sum over the colours: its output is that of the colour filters for a grey image.
    The weights of the plane indicators start at zero. Filters for so many channels stay as they are.
    """
    if not isinstance(weight, torch.Tensor) or weight.ndim != 4 or weight.shape[1] == channels:
        return weight
    planes = weight.new_zeros(len(weight), channels - 1, *weight.shape[2:])
    return torch.cat([weight.sum(dim=1, keepdim=True), planes], dim=1)


def read_weights(path: Path) -> dict[str, Any]:
    """The state dict of a file, read as tensors only: nothing in it is executed.

    Raises:
        UsageError: the file needs a package that is not installed.
        ModelError: the file does not exist, is damaged, holds something else, or differs from the hash in its name.
    """
    remedy = "Get the file again, or choose another one."
    if not path.is_file():
        raise ModelError("the file does not exist", source=str(path), remedy=remedy)
    if path.stat().st_size > LARGEST_WEIGHTS_BYTES:
        raise ModelError(f"more than {LARGEST_WEIGHTS_BYTES} bytes are refused", source=str(path), remedy=remedy)
    expected = _HASH.search(path.name)
    if expected and not sha256_of(path).startswith(expected[1]):
        raise ModelError("differs from the hash in its name", source=str(path), remedy=remedy)
    try:
        weights = _read_tensors(path)
    except UsageError:
        raise
    except Exception as error:  # a damaged or foreign file may fail anywhere in the unpickler
        _logger.debug("%s cannot be read", path, exc_info=error)
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(f"cannot be read as weights ({reason})", source=str(path), remedy=remedy) from error
    if not isinstance(weights, dict):
        raise ModelError("holds no state dict", source=str(path), remedy=remedy)
    return weights


def download_encoder_weights(encoder: str, cache: Path | None = None) -> Path:
    """The file of an encoder's public weights; downloaded only if ``cache`` does not hold it yet.

    Raises:
        ModelError: it cannot be downloaded, or differs from the hash in its name.
    """
    url = ENCODER_URLS[encoder]
    folder = cache or Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rpartition("/")[2]
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    expected = _HASH.search(path.name)
    try:
        torch.hub.download_url_to_file(url, str(path), expected[1] if expected else None, progress=False)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"cannot be downloaded ({error})",
            source=url,
            remedy="Download it on another computer and give the path of the file.",
        ) from error
    return path


def _read_tensors(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return torch.load(path, map_location="cpu", weights_only=True)
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise UsageError(
            "needs the package safetensors", source=str(path), remedy="pip install safetensors, or give a .pth file."
        ) from error
    return load_file(path)


def _with_encoder(network: torch.nn.Module) -> EncoderUNetPlusPlus:
    for module in network.modules():
        if isinstance(module, EncoderUNetPlusPlus):
            return module
    raise UsageError(
        f"{type(network).__name__} has no encoder with public weights",
        remedy="Set architecture to encoder_unet_plus_plus.",
    )


def _require_fitting(key: str, value: Any, wanted: torch.Tensor, encoder: str, source: str) -> None:
    remedy = _remedy(encoder)
    if not isinstance(value, torch.Tensor):
        raise ModelError(f"{key} is not a tensor", source=source, remedy=remedy)
    if value.shape != wanted.shape:
        shapes = " and not ".join("x".join(map(str, tensor.shape)) for tensor in (value, wanted))
        raise ModelError(f"{key} is {shapes} as in {encoder}", source=source, remedy=remedy)
    if not torch.isfinite(value).all():
        raise ModelError(f"{key} holds values that are not finite", source=source, remedy=remedy)


def _remedy(encoder: str) -> str:
    return f"Give weights of {encoder}, e.g. {ENCODER_URLS[encoder]}."
