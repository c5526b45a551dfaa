"""A folder of images as a clip."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from pathlib import Path

import av
from PIL import Image, UnidentifiedImageError

from vrestore.errors import MediaError
from vrestore.video import archive
from vrestore.video.media import media_errors
from vrestore.video.orientation import Orientation, orientation_of_exif

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm")
_EXIF_ORIENTATION = 274


class FrameFolder:
    """The images of a folder in natural order (2.png before 10.png); other and hidden files do not count.

    Attributes:
        path: the folder.
        files: one image a frame.
        warnings: sentences, for example on missing numbers.

    Raises:
        MediaError: the folder is missing or holds no image.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not archive.is_folder(self.path):
            raise MediaError(f"'{path}' is not a folder")
        with media_errors(path, "cannot be listed"):
            names = [p for p in archive.files_of(self.path) if p.suffix.lower() in IMAGE_SUFFIXES]
            self.files = sorted((p for p in names if not p.name.startswith(".")), key=natural_key)
        if not self.files:
            raise MediaError(
                f"the folder '{path}' holds no frames: none of its files ends in {', '.join(IMAGE_SUFFIXES)}"
            )
        self.warnings = self._missing_numbers()

    def check_sizes(self) -> None:
        """Refuse frames of different sizes; reads the header of every image.

        Raises:
            MediaError: names the first frame that differs, or that is no image.
        """
        first = self._size_shown(0)
        for index, file in enumerate(self.files[1:], 1):
            size = self._size_shown(index)
            if size != first:
                raise MediaError(
                    f"the frames of '{self.path}' differ in size: {self.files[0].name} is {first[0]}x{first[1]} "
                    f"(width x height) but {file.name} is {size[0]}x{size[1]}; make them equal or move the odd ones"
                )

    def decode(self, index: int) -> tuple[av.VideoFrame, str]:
        """One frame as FFmpeg decodes it, and the name of its codec.

        Raises:
            MediaError: the image is damaged.
        """
        file = self.files[index]
        with media_errors(file, "is a damaged image"), av.open(_in_memory(file), "r") as container:
            stream = container.streams.video[0]
            if stream.codec_context.name in ("mjpeg", "png"):  # others take harmless oddities for damage then
                stream.codec_context.options = {"err_detect": "explode"}
            for frame in container.decode(stream):
                return frame, stream.codec_context.name
        raise MediaError(f"'{file}' is a damaged image: it holds no picture")

    def orientation(self, index: int) -> Orientation:
        """How a frame is turned upright, by its EXIF data.

        Raises:
            MediaError: the image is damaged.
        """
        return _header(self.files[index])[1]

    def _size_shown(self, index: int) -> tuple[int, int]:
        """(width, height) of a frame, turned upright."""
        size, orientation = _header(self.files[index])
        return size[::-1] if orientation.swaps_sides else size

    def _missing_numbers(self) -> list[str]:
        numbers = [_last_number(p) for p in self.files]
        known = [n for n in numbers if n is not None]
        if len(known) < len(numbers) or len(set(known)) < len(known):
            return []
        gaps = []
        for here, following in pairwise(known):
            if following == here + 2:
                gaps.append(f"{here + 1}")
            elif following > here + 2:
                gaps.append(f"{here + 1} to {following - 1}")
        if not gaps:
            return []
        shown = ", ".join(gaps[:8]) + (", …" if len(gaps) > 8 else "")
        return [f"frame numbers are missing in '{self.path}': {shown}; the {len(known)} frames there are read in order"]


def natural_key(path: Path) -> tuple:
    """Sorts numbers in names by value: 2.png before 10.png; ties by the plain name."""
    parts = re.split(r"(\d+)", path.stem.lower())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part], path.name


def _in_memory(file: Path) -> io.BytesIO:
    with archive.open_file(file) as opened:
        return io.BytesIO(opened.read())


def _last_number(path: Path) -> int | None:
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else None


def _header(file: Path) -> tuple[tuple[int, int], Orientation]:
    """(width, height) as stored, and the orientation, from an image's header."""
    try:
        with archive.open_file(file) as opened, Image.open(opened) as image:
            # PNG keeps EXIF data anywhere, and Pillow would read the whole image to find them.
            has_exif = image.format != "PNG" or "exif" in image.info
            code = image.getexif().get(_EXIF_ORIENTATION, 1) if has_exif else 1
            return image.size, orientation_of_exif(code)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(f"'{file}' is a damaged image or none at all") from error
