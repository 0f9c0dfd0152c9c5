"""Agents learn where to go, remember it, and leave an image that does not show their landmark."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.detection.network_input import encode_slices
from AutoVolumeCalibrationLib.core.errors import Cancelled, UsageError
from AutoVolumeCalibrationLib.core.networks.architectures.search_agent import REACH, SearchAgents
from LandmarkTrainingLib.core.simulator.render import SliceBatch
from LandmarkTrainingLib.core.slices.targets import TargetSettings, make_targets
from LandmarkTrainingLib.core.training.learner import landmark_network
from LandmarkTrainingLib.core.training.search_agent.goals import LEAVING, Goals, distances, goals_of, rewards
from LandmarkTrainingLib.core.training.search_agent.learner import SearchLearner, new_learner
from LandmarkTrainingLib.core.training.search_agent.memory import CAPACITY, Memory, Walks
from LandmarkTrainingLib.core.training.trainer import train
from toy_training import SLICES, TINY, toy_data

CPU = torch.device("cpu")
SIDE = 32
TARGETS = TargetSettings(sigma_mm=4.0, tau_mm=12.0, stem=1, pixel_mm=2.0)
AGENTS = TINY.replaced(
    {
        "architecture": "search_agent",
        "options": {"width": 4, "patch": 9, "levels": 2, "stem": 1},
        "learning_rate": 6e-3,
        "schedule": "constant",
        "gradient_clip": 5.0,
        "ema_decay": 0.9,
        "batch_size": 8,
    }
)


def bright_blobs(count, seed, shown=None):
    """Slices with a bright blob, the landmark, and slices without one, which show noise alone."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(4, SIDE - 5, (count, 1, 2))
    there = rng.random((count, 1)) < 0.7 if shown is None else np.full((count, 1), shown)
    grid = np.stack(np.mgrid[:SIDE, :SIDE], axis=-1)
    blobs = np.exp(-(((grid - points[:, :, None]) ** 2).sum(-1)) / (2 * 3.0**2)) * there[:, :, None]
    images = blobs + rng.normal(0, 0.05, blobs.shape)
    return SliceBatch(
        torch.from_numpy(images).float(),
        torch.zeros(count, dtype=torch.long),
        torch.from_numpy(np.where(there[..., None], points, np.nan)).float(),
        torch.from_numpy(np.where(there, 0.0, np.inf)).float(),
        torch.from_numpy(there),
    )


def one_slice(point, depth_mm, visible):
    """A blank slice of 32 x 32 pixels with one landmark."""
    return SliceBatch(
        torch.zeros(1, SIDE, SIDE),
        torch.zeros(1, dtype=torch.long),
        torch.tensor([[point]]),
        torch.tensor([[depth_mm]]),
        torch.tensor([[visible]]),
    )


def goals(point, depth_mm, visible):
    batch = one_slice(point, depth_mm, visible)
    return goals_of(batch, make_targets(batch, TARGETS), TARGETS)


# Goals


@pytest.mark.parametrize(
    ("point", "depth_mm", "visible", "taught", "leave"),
    [
        ((10.0, 20.0), 3.0, True, True, False),  # on the slice
        ((10.0, 50.0), 3.0, False, True, False),  # beyond the border: it leaves on that side
        ((10.0, 20.0), 3.0, False, True, True),  # outside of the field of view, which is smaller than the grid
        ((10.0, 20.0), 40.0, True, True, True),  # on other slices
        ((float("nan"),) * 2, float("inf"), False, True, True),  # the head does not have it
        ((10.0, 20.0), 20.0, True, False, None),  # neither here nor absent
        ((float("nan"),) * 2, float("nan"), False, False, None),  # not known
    ],
)
def test_an_agent_goes_to_its_landmark_or_out_of_the_image(point, depth_mm, visible, taught, leave):
    found = goals(point, depth_mm, visible)
    assert found.taught.item() is taught
    assert leave is None or found.leave.item() is leave
    if leave is False:
        assert found.points[0, 0].tolist() == list(point)


def test_a_step_is_worth_what_it_comes_nearer():
    here = torch.tensor([[[4, 4]]])
    near = Goals(torch.tensor([[[4.0, 7.0]]]), torch.ones(1, 1, dtype=torch.bool))
    assert rewards(here, here + torch.tensor([0, 1]), near, (8, 8)).item() == pytest.approx(1)
    assert rewards(here, here - torch.tensor([0, 1]), near, (8, 8)).item() == pytest.approx(-1)
    away = Goals(torch.full((1, 1, 2), torch.nan), near.taught)
    assert distances(torch.tensor([[[4, 1]]]), away, (8, 8)).item() == 2  # over the left border
    assert distances(torch.tensor([[[4, -1]]]), away, (8, 8)).item() == 0
    out = torch.tensor([[[7, 4]]]), torch.tensor([[[8, 4]]])
    assert rewards(*out, away, (8, 8)).item() == 1 + LEAVING
    assert rewards(*out, near, (8, 8)).item() < -LEAVING
    beyond = Goals(torch.tensor([[[9.0, 4.0]]]), near.taught)
    assert rewards(*out, beyond, (8, 8)).item() == 1 + LEAVING


def test_a_goal_keeps_its_place_on_a_coarser_grid():
    fine = Goals(torch.tensor([[[0.5, 13.5]]]), torch.ones(1, 1, dtype=torch.bool))
    assert fine.on_grid(2).points[0, 0].tolist() == [-0.25, 3.0]


# Memory


def walks(value, images=2, agents=3, leave=False):
    """Of each image's four steps the second one counts."""
    shape = (images, 4, agents)
    taught = torch.zeros(shape, dtype=torch.bool)
    taught[:, 1] = True
    return Walks(
        torch.full((images, 1, 9, 9), value, dtype=torch.float16),
        torch.full((*shape, 2), value, dtype=torch.int16),
        torch.ones(shape, dtype=torch.int8),
        torch.arange(4.0)[:, None].expand(shape).clone(),
        torch.zeros(shape, dtype=torch.bool),
        taught,
        torch.full(shape, leave),
    )


def random():
    return torch.Generator().manual_seed(0)


def test_the_oldest_walks_are_forgotten_and_steps_that_count_are_drawn():
    memory, count = Memory(), 5
    for value in range(CAPACITY // count + 3):
        memory.add(walks(value, images=count))
    assert CAPACITY - count < len(memory) <= CAPACITY
    # What began to be remembered first is gone, up to the walks that no longer found a place.
    forgotten = CAPACITY // count + 3 - len(memory) // count
    steps = memory.draw(2000, random())
    assert steps.before.shape == (2000, 3, 2) and steps.before.min() == forgotten
    assert steps.before.max() == CAPACITY // count + 2
    assert steps.taught.all() and (steps.rewards == 1).all()
    seen = steps.padded[steps.images][..., 0, 0, 0, None]
    assert torch.equal(seen.expand_as(steps.before).long(), steps.before)


def test_half_of_the_drawn_steps_are_of_slices_with_the_landmark_however_few_these_are():
    memory = Memory()
    memory.add(walks(1, images=2))
    memory.add(walks(2, images=60, leave=True))
    share = (memory.draw(4000, random()).before == 1).float().mean()
    assert share == pytest.approx(0.5, abs=0.03)


def test_an_agent_that_nothing_counts_for_draws_steps_that_do_not_count():
    memory, blank = Memory(), walks(1)
    blank.taught[..., 2] = False
    memory.add(blank)
    assert memory.draw(50, random()).taught.all(dim=0).tolist() == [True, True, False]


def test_a_memory_comes_back_from_its_state():
    memory, again = Memory(), Memory()
    for value in range(CAPACITY // 2 + 3):
        memory.add(walks(value))
    again.load({name: tensor.clone() for name, tensor in memory.state().items()}, CPU)
    for one in (memory, again):
        one.add(walks(1000))
    first, second = (one.draw(40, random()) for one in (memory, again))
    assert torch.equal(first.before, second.before) and torch.equal(first.padded, second.padded)
    empty = Memory()
    empty.load(Memory().state(), CPU)
    assert len(empty) == 0


# Learning


def search(network, batch):
    return network.eval().search(torch.from_numpy(encode_slices(batch.images.numpy(), batch.planes.numpy())))


@pytest.mark.slow
def test_agents_learn_to_find_a_blob_and_to_leave_where_there_is_none():
    """And do not forget it again: both hold at each of the last checks.

    From the start whose filters died, with ReLU.
    """
    config = AGENTS.replaced({"steps": 1600})
    torch.manual_seed(3)
    # On the coarsest of four grids, of 4 x 4 pixels, an agent sees the whole image.
    learner = new_learner(SearchAgents(4, 1, 8, 9, 4, 1, 2.0), config, TARGETS, CPU)
    shown, empty = bright_blobs(32, 99, shown=True), bright_blobs(32, 98, shown=False)
    for number in range(config.steps):
        learner.learn(bright_blobs(8, (number,)), number)
        if number + 1 in (1400, 1500, 1600):
            found = search(learner.average.module, shown)
            error = torch.where(found.left, torch.inf, (found.points - shown.points).norm(dim=-1))
            assert error.quantile(0.9) < 1.5
            assert search(learner.average.module, empty).left.float().mean() > 0.9


def test_a_filter_that_is_below_zero_everywhere_still_learns():
    network = SearchAgents(1, 1, 4, 9, 1, 1, 2.0)
    filters = [layer for layer in network.values[0].layers if isinstance(layer, torch.nn.Conv2d)]
    for layer in filters[:-1]:
        torch.nn.init.constant_(layer.bias, -100.0)
    network.values[0](torch.rand(2, 1, 1, 9, 9)).square().sum().backward()
    assert all(layer.weight.grad.abs().max() > 0 for layer in filters)


def test_moves_become_less_random_in_the_first_half_of_a_run():
    learner = new_learner(landmark_network(AGENTS, 1, TARGETS), AGENTS.replaced({"steps": 10}), TARGETS, CPU)
    shares = []
    for step in (0, 5, 10):
        learner.step = step
        shares.append(learner.random_share)
    assert shares == pytest.approx([1.0, 0.1, 0.1])


def test_a_finer_search_begins_near_the_landmark_and_never_where_there_is_none():
    config = AGENTS.replaced({"batch_size": 16})
    learner = new_learner(landmark_network(config, 1, TARGETS), config, TARGETS, CPU)
    batch = bright_blobs(16, 3)
    learner.learn(batch, 0)  # the finest grid
    kept = learner._memories[0]._walks
    there = batch.visible[:, 0]
    off = (kept.before[:, 0, 0] - batch.points[:, 0].round())[there].abs()
    assert off.max() <= REACH and off.max() > 1
    assert not kept.taught[~there].any() and kept.taught[there, 0].all()


def test_the_trainer_trains_agents_and_a_resumed_run_reaches_the_same_weights(tmp_path):
    whole = train(AGENTS, toy_data(), tmp_path / "whole", slices=SLICES).load()
    steps = iter([False, False, True])
    with pytest.raises(Cancelled):
        train(AGENTS, toy_data(), tmp_path / "parts", slices=SLICES, cancelled=lambda: next(steps))
    resumed = train(AGENTS, toy_data(), tmp_path / "parts", slices=SLICES, resume=True).load()
    for key, value in whole["network"].items():
        assert torch.equal(resumed["network"][key], value), key
    assert [len(memory["padded"]) for memory in whole["memory"]] == [24, 24]


def test_agents_do_not_learn_from_blended_slices():
    config = AGENTS.replaced({"mixup": 0.5})
    with pytest.raises(UsageError, match=r"blended slices.*mixup=0"):
        SearchLearner(landmark_network(AGENTS, 1, TARGETS), config, TARGETS, CPU)


@pytest.mark.slow
def test_agents_search_volumes_too():
    """Learnt without the trainer, which is for slices: the values of moves towards a blob, by regression."""
    torch.manual_seed(0)
    side, network = 8, SearchAgents(1, 1, 8, 5, 1, 1, 1.5, axes=3)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    grid = torch.stack(torch.meshgrid(*[torch.arange(float(side))] * 3, indexing="ij"), dim=-1)

    def volumes(count):
        points = 1 + (side - 2) * torch.rand(count, 1, 3)
        return torch.exp(-((grid - points[:, :, None, None]) ** 2).sum(-1) / 18)[:, None], points

    everyone = torch.ones(16, 1, dtype=torch.bool)
    numbers = torch.arange(16)[:, None]
    for _ in range(1500):
        images, points = volumes(16)
        padded, size = network.grid(images, 0)
        here = torch.randint(0, side, (16, 1, 3))
        after = here[:, :, None] + torch.stack([-torch.eye(3), torch.eye(3)], dim=1).flatten(0, 1).long()
        wanted = torch.stack([rewards(here, after[:, :, i], Goals(points, everyone), size) for i in range(6)], dim=-1)
        loss = (network.values[0](network.patches(padded, numbers, here)) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, points = volumes(32)
    found = network.search(images)
    assert not found.left.any()
    assert (found.points - points).norm(dim=-1).median() < 1.0


# The comparison


def test_the_comparison_of_agents_has_a_protocol_of_its_few_landmarks_and_a_valid_plan(tmp_path):
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from benchmarks import search_agents
    from LandmarkTrainingLib.core.experiments.ablations.plan import read_plan

    path = search_agents.protocol_of_few(search_agents.LANDMARKS, tmp_path / "few.json")
    assert load_protocol(path).constellation.names == search_agents.LANDMARKS
    assert json.loads(path.read_text())["name"] == "FewLandmarks"
    plan = read_plan(Path(search_agents.__file__).parent / "plans" / "search_agents.json")
    for variant in plan.variants:
        config = plan.base.replaced(dict(variant.settings))
        assert landmark_network(config, len(search_agents.LANDMARKS)) is not None
