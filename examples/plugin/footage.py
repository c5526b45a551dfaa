"""Make clips to try the example on: a simulated camera over photographs that scikit-image brings along."""

import sys
from pathlib import Path

from vrestore.data.benchmarks.bundled import BundledClips
from vrestore.video import VideoWriter


def make_footage(folder: str | Path, n_frames: int = 12, size: tuple[int, int] = (144, 192)) -> None:
    """Write one lossless clip a photograph into `folder`; `size` is (height, width) in pixels."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    clips = BundledClips(n_frames=n_frames, size=size)
    for i in range(len(clips)):
        with VideoWriter(Path(folder) / f"{clips[i]['clip']}.mkv", fps=24, codec="ffv1", overwrite=True) as writer:
            writer.write(clips[i]["hq"])


if __name__ == "__main__":
    make_footage(sys.argv[1] if len(sys.argv) > 1 else "work_dirs/plugin_clips")
