"""Network architectures and their registry. Bundles name ``networks.build_network`` (``configs/inference.json``)."""

from .registry import build_network

__all__ = ["build_network"]
