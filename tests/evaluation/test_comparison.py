"""The comparison picture: the right pixels in the right places."""

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.test_benchmark import a_config
from vrestore.errors import ConfigError
from vrestore.evaluation.benchmark import run_benchmark
from vrestore.evaluation.comparison import TILE_PX, Panel, draw_comparison, most_textured_region, write_comparisons


def plain(colour, height=120, width=160) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def test_each_panel_shows_its_own_crop():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    panels = [Panel(f"m{i}", "", plain(colour)) for i, colour in enumerate(colours)]
    picture = draw_comparison(panels, plain((90, 90, 90)), "heading")
    for colour in colours:
        assert (picture == colour).all(-1).sum() == TILE_PX**2


def test_the_most_textured_part_is_shown():
    image = plain((128, 128, 128))
    image[64:112, 96:144] = np.random.default_rng(0).integers(0, 255, (48, 48, 3))
    top, left = most_textured_region(image, 48)
    assert abs(top - 64) <= 6
    assert abs(left - 96) <= 6


def test_images_of_unlike_sizes_are_refused():
    with pytest.raises(ConfigError, match="images of one size"):
        draw_comparison([Panel("a", "", plain((0, 0, 0))), Panel("b", "", plain((0, 0, 0), 60))], plain((0, 0, 0)), "")


def test_a_run_leaves_a_picture_a_clip_and_a_second_one_too(tmp_path):
    config = a_config(["bicubic", "nearest", "no-such-model"], comparison=True)
    for _ in range(2):
        result = run_benchmark(config, work_dir=tmp_path)
        written = write_comparisons(result)
        assert [path.name for path in written] == ["tiny-clip0.png", "tiny-clip1.png"]
    assert all(cell.resumed for cell in result.cells)
    picture = np.asarray(Image.open(written[0]))
    assert picture.shape[1] > 4 * TILE_PX  # input, two methods and the ground truth beside the overview
