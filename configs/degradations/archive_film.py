"""Old footage, x4 smaller: soft, grainy, unsteady in light and colour, frames lost, interlaced on tape, compressed."""

degradation = dict(
    type="Compose",
    protocol="archive-x4",
    steps=[
        dict(type="RandomBlur", kinds=dict(iso=0.6, aniso=0.4), sigma_x=(0.5, 2.5), sigma_y=(0.5, 2.5)),
        dict(type="FilmGrain"),
        dict(type="Flicker"),
        dict(type="ColourDrift"),
        dict(type="Chance", prob=0.3, step=dict(type="FrameDrop")),
        dict(type="ResizeTo", scale=4),
        dict(type="Chance", prob=0.5, step=dict(type="Interlace")),
        dict(type="VideoCompression", codecs=dict(h264=1, h265=1, mpeg4=1), bitrate=(2e4, 1e5)),
        dict(type="Quantise"),
    ],
)
