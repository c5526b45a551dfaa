"""Padding to sides and numbers of frames that a network can take."""

import torch

from vrestore.layers.padding import pad_frames_to_multiple, pad_to_multiple


def test_padding_mirrors_and_falls_back_on_repeating():
    frames = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    assert pad_to_multiple(frames, 6)[0, 0, 0].tolist() == [0, 1, 2, 3, 2, 1]
    assert pad_to_multiple(frames[..., :2], 6)[0, 0, 0].tolist() == [0, 1, 1, 1, 1, 1]
    assert pad_to_multiple(frames, 4) is frames


def test_clips_run_back_at_their_end():
    frames = torch.arange(3.0).view(3, 1, 1, 1)
    assert pad_frames_to_multiple(frames, 3) is frames
    assert pad_frames_to_multiple(frames, 8).flatten().tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert pad_frames_to_multiple(frames[:2], 5).flatten().tolist() == [0, 1, 0, 1, 0]
    assert pad_frames_to_multiple(frames[:1], 4).flatten().tolist() == [0, 0, 0, 0]
