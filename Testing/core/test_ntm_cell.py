"""The steps of the neural Turing machine against values by hand, and what it learns."""

import pytest
import torch

from AutoVolumeCalibrationLib.core.networks.architectures.ntm_cell import (
    NtmCell,
    content_weights,
    interpolated,
    read,
    sharpened,
    shifted,
    written,
)

#: Three rows of a memory of width two: right, up, left.
MEMORY = torch.tensor([[[2.0, 0.0], [0.0, 0.5], [-3.0, 0.0]]])


def test_content_addressing_finds_the_row_of_the_keys_direction_whatever_its_length():
    keys = torch.tensor([[[9.0, 0.0], [0.0, 0.1]]])
    weights = content_weights(keys, torch.tensor([[20.0, 20.0]]), MEMORY)
    assert torch.allclose(weights[0, 0], torch.tensor([1.0, 0.0, 0.0]), atol=1e-6)
    assert torch.allclose(weights[0, 1], torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)


def test_content_weights_are_the_softmax_of_strength_times_cosine():
    strength = 1.5
    weights = content_weights(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[strength]]), MEMORY)
    exponentials = torch.exp(strength * torch.tensor([1.0, 0.0, -1.0]))
    assert torch.allclose(weights[0, 0], exponentials / exponentials.sum(), atol=1e-6)
    indifferent = content_weights(torch.tensor([[[1.0, 0.0]]]), torch.zeros(1, 1), MEMORY)
    assert torch.allclose(indifferent, torch.full((1, 1, 3), 1 / 3))


def test_the_gate_chooses_between_content_and_the_previous_place():
    content, previous = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]), torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    weights = interpolated(content, previous, torch.tensor([[1.0, 0.25]]))
    assert torch.equal(weights, torch.tensor([[[1.0, 0.0], [0.25, 0.75]]]))


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ([0.0, 1.0, 0.0], [0.7, 0.2, 0.1, 0.0]),
        ([0.0, 0.0, 1.0], [0.0, 0.7, 0.2, 0.1]),
        ([1.0, 0.0, 0.0], [0.2, 0.1, 0.0, 0.7]),
        ([0.5, 0.0, 0.5], [0.1, 0.4, 0.1, 0.4]),
    ],
)
def test_shifting_rotates_the_focus_round_the_rows(kernel, expected):
    weights = shifted(torch.tensor([[[0.7, 0.2, 0.1, 0.0]]]), torch.tensor([[kernel]]))
    assert torch.allclose(weights, torch.tensor([[expected]]))


def test_sharpening_raises_to_a_power_and_normalises():
    weights = torch.tensor([[[0.6, 0.3, 0.1], [0.6, 0.3, 0.1]]])
    result = sharpened(weights, torch.tensor([[1.0, 2.0]]))
    assert torch.allclose(result[0, 0], weights[0, 0])
    assert torch.allclose(result[0, 1], torch.tensor([0.36, 0.09, 0.01]) / 0.46)


def test_sharpening_survives_large_powers():
    weights = torch.full((1, 1, 1000), 1e-3).requires_grad_()
    result = sharpened(weights, torch.tensor([[40.0]]))
    result[0, 0, 0].backward()
    assert torch.allclose(result, torch.full((1, 1, 1000), 1e-3)) and weights.grad.isfinite().all()


def test_what_is_erased_and_added_is_read_back_and_the_other_rows_stay():
    focus, add = torch.tensor([[[0.0, 1.0, 0.0]]]), torch.tensor([[[0.3, -0.8]]])
    memory = written(MEMORY, focus, torch.ones(1, 1, 2), add)
    assert torch.allclose(read(memory, focus), add)
    assert torch.equal(memory[:, [0, 2]], MEMORY[:, [0, 2]])


def test_a_half_focused_head_erases_and_adds_half():
    memory = written(
        MEMORY, torch.tensor([[[0.5, 0.0, 0.0]]]), torch.tensor([[[1.0, 0.2]]]), torch.tensor([[[4.0, 2.0]]])
    )
    assert torch.allclose(memory[0, 0], torch.tensor([2.0 * 0.5 + 2.0, 0.0 * 0.9 + 1.0]))


def test_all_write_heads_write():
    weights = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    memory = written(MEMORY, weights, torch.ones(1, 2, 2), torch.tensor([[[0.1, 0.2], [0.3, 0.4]]]))
    assert torch.allclose(memory[0], torch.tensor([[0.1, 0.2], [0.0, 0.5], [0.3, 0.4]]))


def cell(**change):
    torch.manual_seed(0)
    return NtmCell(**{"inputs": 3, "outputs": 2, "controller": 8, "rows": 6, "width": 4, "heads": 2, **change})


def steps(cell, inputs):
    """Outputs (B, steps, outputs) and the last state."""
    state, outputs = cell.first_state(len(inputs)), []
    for moment in inputs.unbind(1):
        output, state = cell(moment, state)
        outputs.append(output)
    return torch.stack(outputs, dim=1), state


def test_the_weights_of_every_head_stay_a_distribution():
    outputs, state = steps(cell(), torch.randn(5, 20, 3))
    assert outputs.shape == (5, 20, 2) and state.weights.shape == (5, 4, 6)
    assert (state.weights >= 0).all() and torch.allclose(state.weights.sum(2), torch.ones(5, 4))


def test_the_memory_keeps_what_was_seen_earlier():
    machine = cell()
    early = torch.randn(2, 1, 3)
    late = torch.randn(1, 1, 3).expand(2, -1, -1)
    _, state = steps(machine, torch.cat([early, late], dim=1))
    assert (state.memory[0] - state.memory[1]).abs().max() > 1e-3
    blank = state._replace(memory=machine.first_state(2).memory)
    assert not torch.allclose(machine(late[:, 0], state)[0], machine(late[:, 0], blank)[0])


def test_the_gradient_reaches_every_parameter_through_time():
    machine = cell()
    outputs, _ = steps(machine, torch.randn(4, 3, 3))
    outputs[:, -1].square().sum().backward()
    assert [name for name, p in machine.named_parameters() if not p.grad.abs().sum() > 0] == []


def test_the_cell_computes_in_single_precision_inside_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, state = steps(cell(), torch.randn(2, 3, 3).bfloat16())
    assert {outputs.dtype, *(part.dtype for part in state)} == {torch.float32}


def test_the_published_cell_has_the_stated_parameters():
    """Controller 256, memory 64 x 256, three heads of each kind."""
    with torch.device("meta"):
        machine = NtmCell(inputs=256, outputs=256, controller=256, rows=64, width=256, heads=3)
    lstm = 4 * 256 * (256 + 3 * 256 + 256 + 2)
    heads = (256 + 1) * 6 * (256 + 1 + 1 + 3 + 1) + (256 + 1) * 3 * 2 * 256
    first = 3 * 256 + 6 * 64
    assert sum(p.numel() for p in machine.parameters()) == lstm + heads + first + (256 + 3 * 256 + 1) * 256


def copied(machine, sequences, forget=False):
    """What a machine repeats (B, length, bits) after it was shown sequences of bits and asked for them.

    Args:
        forget: wipe the memory before it is asked.
    """
    samples, length, bits = sequences.shape
    shown = torch.cat([sequences, torch.zeros(samples, length, 1)], dim=2)
    _, state = steps(machine, shown)
    if forget:
        blank = machine.first_state(samples)
        state = state._replace(memory=blank.memory, reads=blank.reads)
    outputs = []
    for asked in [1.0] + [0.0] * (length - 1):
        output, state = machine(torch.tensor([[0.0] * bits + [asked]]).expand(samples, -1), state)
        outputs.append(output)
    return torch.stack(outputs, dim=1)


def test_copying_a_short_sequence_is_learnt_and_needs_the_memory():
    """The task of the paper, three bits twice."""
    machine = cell(inputs=4, outputs=3, controller=16, rows=8, width=8, heads=1)
    optimizer = torch.optim.Adam(machine.parameters(), lr=2e-2)
    for _ in range(250):
        sequences = torch.randint(0, 2, (16, 2, 3)).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(copied(machine, sequences), sequences)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    sequences = torch.randint(0, 2, (200, 2, 3)).float()
    with torch.inference_mode():
        right = (copied(machine, sequences) > 0) == (sequences > 0)
        forgotten = (copied(machine, sequences, forget=True) > 0) == (sequences > 0)
    assert right.float().mean() > 0.98
    assert forgotten.float().mean() < 0.85
