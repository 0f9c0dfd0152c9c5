"""What every network is asked that finds landmarks group by group, and takes known ones."""

from __future__ import annotations

import torch

#: Of the networks that are checked.
LANDMARKS = 5
#: Channels of the image folded by stem 2, which come before the maps in what a pass sees.
FOLDED = 16


def some_images():
    """(2, 4, 64, 64), the same ones every time."""
    return torch.randn(2, 4, 64, 64, generator=torch.Generator().manual_seed(1))


def blobs(*landmarks):
    """(2, 5, 32, 32) maps of one bright pixel each, all at different places; only of ``landmarks`` if named."""
    maps = torch.zeros(2, LANDMARKS, 32, 32)
    for index in landmarks or range(LANDMARKS):
        maps[:, index, 4 + 5 * index, 20 - 3 * index] = 1
    return maps


def inputs_of(layer):
    """What a layer is given, call after call."""
    seen = []
    layer.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].detach().clone()))
    return seen


def check_passes(network, first_layer, order):
    """In evaluation, each pass of groups of two sees the image, and the network's maps of all earlier groups."""
    seen, images = inputs_of(first_layer), some_images()
    with torch.inference_mode():
        result = network.eval()(images)
    found = [order[:0], order[:2], order[:4]]
    assert len(seen) == len(found)
    for inputs, earlier in zip(seen, found, strict=True):
        later = [index for index in range(LANDMARKS) if index not in earlier]
        assert torch.equal(inputs[:, :FOLDED], network.fold(images))
        assert torch.equal(inputs[:, FOLDED:][:, earlier], result[:, earlier])
        assert not inputs[:, FOLDED:][:, later].any()


def check_given_landmark(network, first_layer):
    """A given landmark is seen in every pass and comes back unchanged; giving and moving it changes the others."""
    images, known = some_images(), blobs(3)
    with torch.inference_mode():
        alone, moved = network.eval()(images), network(images, known.roll(8, 3))
        seen = inputs_of(first_layer)
        result, nothing_given = network(images, known), network(images, torch.zeros_like(known))
    assert torch.equal(result[:, 3], known[:, 3])
    assert all(torch.equal(inputs[:, FOLDED + 3], known[:, 3]) for inputs in seen[:3])
    for index in (0, 1, 2, 4):
        assert (result[:, index] - alone[:, index]).abs().max() > 1e-5
        assert (result[:, index] - moved[:, index]).abs().max() > 1e-5
    assert torch.equal(nothing_given, alone)
    assert torch.equal(network.train()(images, known, blobs())[:, 3], known[:, 3])


def check_different_given_landmarks(network):
    """Samples of a batch may have different landmarks given, each is answered as if it were alone."""
    images, known = some_images(), blobs()
    known[0, [0, 1, 2]] = 0
    known[1, [1, 3, 4]] = 0
    given = known.flatten(2).any(2)
    with torch.inference_mode():
        result = network.eval()(images, known)
        alone = torch.cat([network(images[i : i + 1], known[i : i + 1]) for i in range(2)])
    assert torch.allclose(result, alone, rtol=1e-4, atol=1e-5)
    assert torch.equal(result[given], known[given]) and not torch.allclose(result[~given], known[~given])
