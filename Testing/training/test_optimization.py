import json

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import UsageError
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.training.optimization import (
    LR_SCHEDULES,
    OPTIMIZERS,
    build_optimizer,
    build_schedule,
    l1_penalty,
)


def config_of(**settings):
    return TrainingConfig(**{"steps": 100, "warmup_steps": 0, "learning_rate": 0.5, "optimizer": "sgd", **settings})


def optimizer_of(config, groups=1):
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(groups)]
    return build_optimizer(config, parameters)


def rates(config, steps=None, errors=()):
    """Learning rate of every step; ``errors``: step -> error told after it."""
    optimizer = optimizer_of(config)
    schedule = build_schedule(config, optimizer)
    course = [optimizer.param_groups[0]["lr"]]
    for step in range(1, (config.steps if steps is None else steps) + 1):
        schedule.after_step()
        if step in errors:
            schedule.after_check(errors[step])
        course.append(optimizer.param_groups[0]["lr"])
    return np.array(course)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_finds_the_minimum_of_a_bowl(name):
    weights = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    rate = 1.0 if name == "adagrad" else 0.05
    optimizer = build_optimizer(config_of(optimizer=name, learning_rate=rate, weight_decay=0.0), [weights])
    for _ in range(300):
        optimizer.zero_grad()
        (weights**2).sum().backward()
        optimizer.step()
    assert weights.detach().abs().max() < 0.1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rate_decay_and_options_reach_the_optimizer(name):
    options = {"rmsprop": {"momentum": 0.3}, "sgd": {"momentum": 0.9, "nesterov": True}, "adagrad": {"lr_decay": 0.1}}
    chosen = options.get(name, {"betas": [0.8, 0.99]})
    optimizer = optimizer_of(config_of(optimizer=name, weight_decay=0.03, optimizer_options=chosen))
    group = optimizer.param_groups[0]
    assert type(optimizer) is OPTIMIZERS[name] and group["lr"] == 0.5 and group["weight_decay"] == 0.03
    for key, value in chosen.items():
        assert group[key] == (tuple(value) if isinstance(value, list) else value)


def test_the_default_optimizer_is_adamw_as_it_was():
    config = TrainingConfig()
    ours = optimizer_of(config)
    theirs = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))], lr=2e-3, weight_decay=1e-4)
    assert type(ours) is torch.optim.AdamW and ours.defaults == theirs.defaults


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "lion"}, "unknown optimizer 'lion'.*Known: adagrad, adam, adamw, rmsprop, sgd"),
        ({"optimizer_options": {"betas": [0.9, 0.9]}}, "optimizer sgd has no option 'betas'.*momentum"),
        ({"optimizer_options": {"lr": 3}}, "no option 'lr'"),
        ({"optimizer_options": {"maximize": True}}, "no option 'maximize'"),
        ({"optimizer_options": {"momentum": "much"}}, "momentum='much' should be like 0"),
        ({"optimizer_options": {"nesterov": 1}}, "nesterov=1 should be like False"),
        ({"optimizer_options": {"momentum": -1}}, "optimizer sgd: Invalid momentum"),
        ({"optimizer": "adam", "optimizer_options": {"betas": [0.9]}}, "betas=.0.9. should be like"),
        ({"optimizer": "adam", "optimizer_options": {"betas": [0.9, 1.5]}}, "optimizer adam: Invalid beta"),
    ],
)
def test_what_an_optimizer_does_not_take_is_refused_in_one_line(settings, message):
    with pytest.raises(UsageError, match=message) as caught:
        optimizer_of(config_of(**settings))
    assert "\n" not in str(caught.value)


def test_the_cosine_is_as_it_was():
    config = TrainingConfig(steps=1000, warmup_steps=100)
    schedule = build_schedule(config, optimizer_of(config))
    for step in (0, 1, 50, 99, 100, 333, 999, 1000, 5000):
        warm = min(1.0, (step + 1) / 100)
        cosine = 0.98 * 0.5 * (1 + np.cos(np.pi * min(1.0, step / 1000))) + 0.02
        assert schedule.factor(step) == warm * cosine, "bit for bit"
    factor = np.array([schedule.factor(step) for step in range(1001)])
    assert factor[0] == pytest.approx(0.01, rel=0.01) and factor[500] == pytest.approx(0.51)
    assert factor.argmax() in range(95, 105) and (np.diff(factor[100:]) < 0).all()
    assert schedule.factor(5000) == pytest.approx(0.02)


@pytest.mark.parametrize("name", LR_SCHEDULES)
def test_every_schedule_starts_warm_and_stays_between_nothing_and_the_learning_rate(name):
    course = rates(config_of(schedule=name, warmup_steps=10), steps=120)
    plain = rates(config_of(schedule=name), steps=120)
    assert course[:10] / plain[:10] == pytest.approx(np.arange(1, 11) / 10)
    assert (course[10:] == plain[10:]).all()
    assert (plain > 0).all() and (plain <= 0.5).all() and np.isfinite(plain).all()


@pytest.mark.parametrize(
    ("name", "options", "factors"),
    [
        ("constant", {}, {0: 1, 50: 1, 100: 1}),
        ("time_decay", {}, {0: 1, 50: 1 / 5.5, 100: 0.1}),
        ("time_decay", {"rate": 1}, {0: 1, 100: 0.5}),
        ("step_decay", {}, {0: 1, 19: 1, 20: 0.5, 39: 0.5, 40: 0.25, 60: 0.125, 99: 0.0625}),
        ("step_decay", {"drop": 0.1, "every": 0.5}, {49: 1, 50: 0.1, 99: 0.1}),
        ("milestones", {}, {49: 1, 50: 0.1, 79: 0.1, 80: 0.01, 99: 0.01}),
        ("exponential", {}, {0: 1, 50: 0.02**0.5, 100: 0.02}),
        ("cyclic", {"cycles": 2, "low": 0.2}, {0: 0.2, 25: 1, 37: 0.616, 50: 0.2, 75: 1, 100: 0.2}),
        ("cosine", {"end": 0.0}, {0: 1, 50: 0.5, 100: 0}),
        ("plateau", {}, {0: 1, 100: 1}),
    ],
)
def test_the_course_of_each_schedule(name, options, factors):
    course = rates(config_of(schedule=name, schedule_options=options)) / 0.5
    for step, factor in factors.items():
        assert course[step] == pytest.approx(factor, abs=1e-9), step


@pytest.mark.parametrize("steps", [7, 1000, 12345])
def test_step_decay_drops_as_often_in_a_run_of_any_length(steps):
    course = rates(config_of(schedule="step_decay", steps=steps), steps=steps - 1)
    assert len(np.unique(course)) == 5


def test_the_plateau_drops_after_as_many_checks_without_a_better_error_as_it_has_patience():
    errors = dict(zip(range(10, 110, 10), [5.0, 4.0, 4.0, 3.999, 4.5, 3.0, np.nan, 3.5, 3.1, 2.0], strict=True))
    config = config_of(schedule="plateau", schedule_options={"patience": 3})
    course = rates(config, errors=errors) / 0.5
    assert (course[:50] == 1).all()
    assert (course[50:90] == 0.5).all(), "a thousandth better is not better"
    assert (course[90:] == 0.25).all(), "an error that is no number is not better"


def test_the_plateau_goes_no_lower_than_its_end():
    config = config_of(schedule="plateau", schedule_options={"patience": 1, "drop": 0.1, "end": 0.05})
    assert rates(config, errors=dict.fromkeys(range(1, 50), 1.0))[-1] == pytest.approx(0.5 * 0.05)


def test_groups_keep_their_rates_relative_to_one_another():
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    optimizer = build_optimizer(config_of(), [{"params": parameters[0]}, {"params": parameters[1], "lr": 0.05}])
    schedule = build_schedule(config_of(schedule="exponential"), optimizer)
    for _ in range(60):
        schedule.after_step()
    fast, slow = (group["lr"] for group in optimizer.param_groups)
    assert slow == pytest.approx(fast / 10) and fast < 0.5


def run(config, steps, saved=None):
    """Weights and rates of steps of a toy run; the saved state at half-way as a checkpoint would hold it."""
    weights = torch.nn.Parameter(torch.linspace(-1, 1, 5))
    optimizer = build_optimizer(config, [weights])
    schedule = build_schedule(config, optimizer)
    start, seen, middle = 0, [], None
    if saved:
        weights.data.copy_(saved["weights"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(json.loads(json.dumps(saved["schedule"])))
        start = saved["step"]
    for step in range(start, steps):
        optimizer.zero_grad()
        ((weights - step % 7) ** 4).sum().backward()
        optimizer.step()
        seen.append(optimizer.param_groups[0]["lr"])
        schedule.after_step()
        if step % 5 == 4:
            schedule.after_check(abs(20 - step) / 3)
        if step == steps // 2:
            middle = {
                "step": step + 1,
                "weights": weights.detach().clone(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
            }
            middle = torch.load(_buffer(middle), weights_only=True)
    return weights.detach(), seen, middle


def _buffer(state):
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("name", LR_SCHEDULES)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_run_goes_on_bit_for_bit(name, optimizer):
    options = {"patience": 2} if name == "plateau" else {}
    config = config_of(schedule=name, schedule_options=options, optimizer=optimizer, learning_rate=1e-3, warmup_steps=4)
    weights, seen, saved = run(config, 60)
    resumed, seen_again, _ = run(config, 60, saved)
    assert torch.equal(weights, resumed) and seen[31:] == seen_again
    assert len(set(seen)) > 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "linear"}, "unknown schedule 'linear'.*Known: constant, cosine, cyclic"),
        ({"schedule": "cosine", "schedule_options": {"cycles": 2}}, "no option 'cycles'.*Its options: end"),
        ({"schedule": "constant", "schedule_options": {"end": 2}}, "Its options: none"),
        ({"schedule": "plateau", "schedule_options": {"patience": "long"}}, "patience='long' should be like 3"),
        ({"schedule": "plateau", "schedule_options": {"patience": 0}}, "patience must be at least 1"),
        ({"schedule": "step_decay", "schedule_options": {"every": 0}}, "every positive"),
        ({"schedule": "milestones", "schedule_options": {"first": 0.9}}, "first at most second"),
        ({"schedule": "exponential", "schedule_options": {"end": 0}}, "end must be"),
    ],
)
def test_what_a_schedule_does_not_take_is_refused_in_one_line(settings, message):
    config = config_of(**settings)
    with pytest.raises(UsageError, match=message) as caught:
        build_schedule(config, optimizer_of(config))
    assert "\n" not in str(caught.value)


def test_the_l1_penalty_is_the_sum_of_sizes_of_what_is_trained():
    layer = torch.nn.Linear(2, 1)
    layer.weight.data = torch.tensor([[3.0, -4.0]])
    layer.bias.requires_grad_(False)
    penalty = l1_penalty(layer.parameters())
    penalty.backward()
    assert float(penalty.detach()) == 7 and torch.equal(layer.weight.grad, torch.tensor([[1.0, -1.0]]))
    assert float(l1_penalty([])) == 0
