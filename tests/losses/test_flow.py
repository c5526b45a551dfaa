"""PhotometricFlowLoss: the true motion costs least, and following its gradient finds it."""

import torch

from vrestore.losses import PhotometricFlowLoss

SHIFT = 2


def moving_clip():
    torch.manual_seed(0)
    wide = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 12), size=(32, 48), mode="bicubic").clamp(0, 1)
    frames = [wide[..., i * SHIFT : i * SHIFT + 32] for i in range(3)]
    return torch.stack(frames, dim=1)


def loss_of(lq, dx, loss):
    # content moves left by SHIFT a frame: frame i+1 onto i looks SHIFT to the left, frame i onto i+1 to the right
    flow = torch.zeros(1, 2, 2, 32, 32)
    backward, forward = flow.clone(), flow.clone()
    backward[:, :, 0], forward[:, :, 0] = -dx, dx
    return loss({"flows_backward": backward, "flows_forward": forward}, lq, lq)


def test_the_true_motion_costs_least():
    lq, loss = moving_clip(), PhotometricFlowLoss(smoothness=0.0)
    costs = {dx: loss_of(lq, dx, loss).item() for dx in (-2, 0, 1, 2, 3)}
    assert min(costs, key=costs.get) == SHIFT
    assert costs[SHIFT] < 2e-3  # the square root's floor of 1e-3


def test_gradient_descent_finds_the_motion():
    lq, loss = moving_clip(), PhotometricFlowLoss()
    dx = torch.tensor(0.5, requires_grad=True)
    optimiser = torch.optim.Adam([dx], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        loss_of(lq, dx, loss).backward()
        optimiser.step()
    assert abs(dx.item() - SHIFT) < 0.15


def test_pixels_that_leave_the_frame_do_not_count():
    lq, loss = moving_clip(), PhotometricFlowLoss(smoothness=0.0)
    assert loss_of(lq, 1000.0, loss).item() == 0.0
