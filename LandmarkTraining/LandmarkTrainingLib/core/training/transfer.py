"""Start a network from another one's weights: matching weights are transferred, the rest is reported.

Fine-tuning, other anatomies (landmarks matched by name), more input channels (known landmarks as maps).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from .landmark_axes import LandmarkChange

#: Prefixes that wrappers add to the names of weights: iterative groups, a moving average, several GPUs.
PREFIXES = ("network.", "module.")

#: Number of weights named in a line of the summary.
NAMES_LISTED = 4


@dataclass(frozen=True)
class TransferReport:
    """Result for each weight. Every weight of the network is in one of the first five.

    Attributes:
        loaded: taken over as they are.
        widened: convolutions with more input channels than the source's: its filters first, zeros behind.
        matched: rows taken over by the name of the landmark, the other rows as they were.
        missing: not in the source, left as they were.
        mismatched: in the source in another shape, left as they were.
        renamed: those taken over from a name with another prefix.
        unused: names of the source that nothing was taken from.
        kept_landmarks, new_landmarks: the network's landmarks that the source has, and the others.
    """

    loaded: tuple[str, ...] = ()
    widened: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    kept_landmarks: tuple[str, ...] = ()
    new_landmarks: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether every weight was found."""
        return not self.missing and not self.mismatched

    def summary(self) -> str:
        """The report in a few lines."""
        parts = (self.loaded, self.widened, self.matched, self.missing, self.mismatched)
        taken = len(self.loaded) + len(self.widened) + len(self.matched)
        lines = [f"{taken} of {sum(map(len, parts))} weights transferred."]
        if self.kept_landmarks or self.new_landmarks:
            lines.append(f"Landmarks known before: {', '.join(self.kept_landmarks) or 'none'}.")
            lines.append(f"New landmarks: {', '.join(self.new_landmarks) or 'none'}.")
        groups = {
            "Transferred under another name": self.renamed,
            "New input channels initialised to zero": self.widened,
            "Not in the source, freshly initialised": self.missing,
            "Of another shape, freshly initialised": self.mismatched,
            "In the source only, not used": self.unused,
        }
        lines += [f"{what}: {_few(names)}." for what, names in groups.items() if names]
        return "\n".join(lines)


def _few(names: Sequence[str]) -> str:
    more = len(names) - NAMES_LISTED
    return ", ".join(names[:NAMES_LISTED]) + (f" and {more} more" if more > 0 else "")


def transfer_weights(
    network: torch.nn.Module, source_state: Mapping[str, torch.Tensor], landmarks: LandmarkChange | None = None
) -> TransferReport:
    """Load the matching weights of another network's state into ``network``.

    Args:
        network: changed in place; keeps its own weights where nothing matches.
        source_state: state dict of the other network; PREFIXES of names are ignored.
        landmarks: the landmarks of both; None: the same ones in the same order.
    """
    found: dict[str, list[str]] = {name: [] for name in ("loaded", "widened", "matched", "missing", "mismatched")}
    renamed, used, taken = [], set(), {}
    convolutions = _plain_convolutions(network)
    by_bare_name = {_without_prefixes(key): key for key in source_state}
    for key, own in network.state_dict().items():
        source_key = key if key in source_state else by_bare_name.get(_without_prefixes(key))
        if source_key is None:
            found["missing"].append(key)
            continue
        how, tensor = _fitted(key, own, source_state[source_key], landmarks, key in convolutions)
        found[how].append(key)
        if tensor is None:
            continue
        taken[key] = tensor
        used.add(source_key)
        if source_key != key:
            renamed.append(key)
    network.load_state_dict(taken, strict=False)
    return TransferReport(
        **{name: tuple(keys) for name, keys in found.items()},
        renamed=tuple(renamed),
        unused=tuple(key for key in source_state if key not in used),
        kept_landmarks=landmarks.kept if landmarks else (),
        new_landmarks=landmarks.new if landmarks else (),
    )


def _without_prefixes(key: str) -> str:
    while key.startswith(PREFIXES):
        key = key.split(".", 1)[1]
    return key


def _plain_convolutions(network: torch.nn.Module) -> set[str]:
    """Names of the weights whose second axis are input channels: of convolutions, not transposed nor in groups."""
    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    modules = network.named_modules()
    return {f"{name}.weight".lstrip(".") for name, m in modules if isinstance(m, kinds) and m.groups == 1}


def _fitted(
    key: str, own: torch.Tensor, source: torch.Tensor, landmarks: LandmarkChange | None, is_convolution: bool
) -> tuple[str, torch.Tensor | None]:
    """Result for a weight (a field of the report), and its new value, None to keep its own."""
    if landmarks and key in landmarks.axes:
        matched = landmarks.matched(key, own, source)
        if matched is not None:
            return "matched", matched
    elif own.shape == source.shape:
        return "loaded", source
    if is_convolution and own.dim() == source.dim() and source.shape[1] < own.shape[1]:
        widened = torch.zeros_like(own)
        if widened[:, : source.shape[1]].shape == source.shape:
            widened[:, : source.shape[1]] = source
            return "widened", widened
    return "mismatched", None
