import pytest

from tests.data.media import moving_texture, write_folder, write_video


@pytest.fixture(scope="session")
def clip_root(tmp_path_factory):
    """Three clips, read only: a video, a folder of frames, and a video in a subfolder."""
    root = tmp_path_factory.mktemp("clips")
    write_video(root / "video.mkv", moving_texture(12, 40, 56, seed=1))
    write_folder(root / "frames", moving_texture(9, 36, 48, seed=2))
    write_video(root / "deep" / "er.mkv", moving_texture(7, 48, 40, seed=3), fps=30)
    return root
