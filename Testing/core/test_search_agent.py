"""Search agents: what they see, how they walk, where a circle ends, and when a landmark is absent."""

import pytest
import torch

from architecture_checks import (
    CHANNELS,
    built,
    check_evaluation,
    check_needed,
    check_refusal,
    check_size_of_answer,
    parameter_count,
)
from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks
from AutoVolumeCalibrationLib.core.networks.architectures.search_agent import SearchAgents, mean_of_circle, moves

NARROW = {"width": 4, "patch": 9, "levels": 3, "stem": 2, "sigma": 1.5}


class Guide(torch.nn.Module):
    """Values of an agent that knows its goal, in an image whose two channels are the row and the column."""

    def __init__(self, goal, landmarks=1):
        super().__init__()
        self.goal, self.landmarks = torch.tensor(goal, dtype=torch.float32), landmarks

    def forward(self, patches):
        middle = patches.shape[-1] // 2
        here = patches[..., middle, middle]
        after = here[:, :, None] + moves(2, patches.device)
        return -(after - self.goal).norm(dim=-1)


def guided(*goals, sigma=1.5):
    """One agent, its goal on each grid from the finest to the coarsest, and an image of 16 x 24 pixels."""
    network = SearchAgents(2, 1, 2, 5, len(goals), 1, sigma).eval()
    network.values = torch.nn.ModuleList(map(Guide, goals))
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")
    return network, torch.stack([rows, columns])[None]


def test_the_stated_size_has_the_stated_number_of_parameters():
    options = {"width": 16, "patch": 21, "levels": 4, "stem": 1, "sigma": 1.5}
    # Three agents on four grids, of layers 4-16 (5x5), 16-32 and 32-32 (3x3), 32-64 (all 5x5 that is left), 64-4.
    layers = [(4, 16, 25), (16, 32, 9), (32, 32, 9), (32, 64, 25), (64, 4, 1)]
    assert parameter_count("search_agent", options) == 12 * sum((i * size + 1) * o for i, o, size in layers)


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_inputs_of_the_stated_divisor_come_out_coarser_by_the_stem(stem):
    check_size_of_answer("search_agent", {**NARROW, "stem": stem})


def test_evaluation_is_deterministic_and_slices_do_not_influence_each_other():
    check_evaluation(built("search_agent", NARROW))


@pytest.mark.parametrize(
    "change", [{"width": 0}, {"patch": 8}, {"patch": 3}, {"levels": 0}, {"levels": 7}, {"stem": 3}, {"axes": 3}]
)
def test_an_option_that_is_unknown_or_absurd_is_refused(change):
    check_refusal("search_agent", NARROW, change)


@pytest.mark.parametrize("absent", [*CHANNELS, *NARROW])
def test_an_option_that_decides_shapes_has_no_default(absent):
    check_needed("search_agent", NARROW, absent)


def test_agents_share_no_weight():
    values = built("search_agent", NARROW).values[0]
    patches = torch.randn(2, 3, 4, 9, 9, requires_grad=True)
    (gradient,) = torch.autograd.grad(values(patches)[:, 1].sum(), patches)
    assert gradient[:, 1].abs().sum() > 0 and gradient[:, [0, 2]].abs().sum() == 0


@pytest.mark.parametrize("axes", [2, 3])
def test_an_agent_sees_a_patch_around_it_and_zeros_beyond_the_image(axes):
    network = SearchAgents(1, 1, 2, 5, 2, 1, 1.5, axes)
    image = torch.arange(1.0, 6**axes + 1).reshape(1, 1, *[6] * axes)
    padded, size = network.grid(image, 0)
    assert size == (6,) * axes
    at = torch.full((1, 1, axes), 3)
    whole = network.patches(padded, torch.zeros(1, 1, dtype=torch.long), at)
    assert torch.equal(whole[0, 0, 0], image[(0, 0, *[slice(1, 6)] * axes)])
    corner = network.patches(padded, torch.zeros(1, 1, dtype=torch.long), 0 * at)[0, 0, 0]
    assert corner[(0,) * axes] == 0 and corner[(2,) * axes] == 1
    coarse, size = network.grid(image, 1)
    assert size == (3,) * axes and coarse[(0, 0, *[2] * axes)] == image[(0, 0, *[slice(0, 2)] * axes)].mean()


def test_a_walk_ends_in_a_circle_and_its_middle_is_the_position():
    def mean(*path):
        return mean_of_circle(torch.tensor(path)[:, None, None])[0, 0].tolist()

    assert mean([0, 0], [0, 1], [0, 2], [0, 1], [0, 2]) == [0.0, 1.5]
    assert mean([5, 5], [0, 0], [0, 1], [1, 1], [1, 0], [0, 0]) == [0.5, 0.5]
    assert mean([0, 0], [0, 1], [0, 2]) == [0.0, 2.0]  # it has not been here before


def test_agents_walk_to_their_landmarks_from_grid_to_grid():
    # On the coarse grid a pixel shows the mean row and column of the image, 0.5 + 2 n; a move changes it by one.
    network, image = guided((3.4, 20.0), (3.5, 20.5))
    found = network.search(image)
    assert (found.points[0, 0] - torch.tensor([3.4, 20.0])).abs().max() <= 0.5 and not found.left
    peaks = decode_peaks(network(image), 1.5)
    assert 0.9 < peaks.peak_values[0, 0] <= 1.0
    assert peaks.positions[0, 0] == pytest.approx(found.points[0, 0].numpy(), abs=0.1)


def test_an_agent_that_leaves_the_image_says_that_the_landmark_is_absent():
    network, image = guided((40.0, 12.0))
    assert network.search(image).left.all()
    assert network(image).abs().max() == 0


def test_an_agent_that_left_does_not_come_back():
    # The coarse grid sends it away, the fine one would find the landmark.
    network, image = guided((8.0, 12.0), (60.0, 12.0))
    assert network.search(image).left.all()


def test_a_walk_is_not_traced_because_the_trace_would_be_that_of_one_image():
    with pytest.raises(RuntimeError, match="cannot be traced"):
        torch.jit.trace(built("search_agent", NARROW).eval(), torch.randn(1, 4, 16, 16))
