# Every baseline on a tiny clip that is drawn by a formula, with reference weights made from names alone: it shows
# that each method runs at its official size, within minutes on two CPU cores, without data and without a download.
# What the methods make of the clip means nothing, and the report says so.
#
#   python tools/test.py configs/benchmarks/baselines_smoke.py
#
# With weights of yours, the same methods on real clips are in reds4.py, vid4.py and their neighbours.
_x4 = [
    "basicvsr-reds4",
    "iconvsr-reds4",
    "basicvsr-pp-reds4",
    "basicvsr-pp-ntire-vsr",
    "realbasicvsr",
    "edvr-m-reds4",
    "edvr-m-wotsa-reds4",
    "edvr-l-reds4",
    "edvr-l-vimeo90k",
    "edvr-l-srblur-reds4",
    "realesrgan-x4plus",
    "realesrgan-x4plus-anime-6b",
    "realesr-animevideov3",
    "realesr-general-x4v3",
    "realsr-df2k-x4",
    "swinir-real-m-x4",
    "swinir-real-l-x4",
    "rvrt-reds4",
]
_x2 = ["realesrgan-x2plus"]
_x1 = ["basicvsr-pp-ntire-decompress-track1", "basicvsr-pp-deblur-dvd", "edvr-l-deblur-reds4"]
_time = ["rife-4.6", "rife-4.22", "rife-4.22-lite", "rife-4.25", "rife-4.26", "rife-paper", "rife-paper-m"]
_space_time = ["zooming-slowmo", "videoinr"]
_cascades = ["rife-4.25 then realbasicvsr", "realbasicvsr then rife-4.25"]

_all = [name for group in (_x4, _x2, _x1, _time, _space_time) for name in group]
_scores = [dict(type="PSNR", convert_to="Y"), dict(type="SSIM", convert_to="Y")]

methods = [
    dict(name="bicubic", model="bicubic"),
    *[dict(name=name, model=name, weights="reference:") for name in _all],
    *[
        dict(name=name, model=dict(type="CascadeRestorer", stages=name.split(" then ")), weights="reference:")
        for name in _cascades
    ],
]
benchmarks = [
    dict(
        name="x4",
        dataset=dict(type="DrawnClips", n_frames=4, size=(96, 96), degradation=dict(type="BicubicDown", scale=4)),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_x4],
    ),
    dict(
        name="x2",
        dataset=dict(type="DrawnClips", n_frames=3, size=(64, 64), degradation=dict(type="BicubicDown", scale=2)),
        request=dict(scale=2),
        metrics=_scores,
        methods=["bicubic", *_x2],
    ),
    dict(
        name="same size",
        dataset=dict(type="DrawnClips", n_frames=3, size=(64, 64), degradation=dict(type="Identity")),
        request=dict(scale=1),
        metrics=_scores,
        methods=_x1,
    ),
    dict(
        name="time x2",
        dataset=dict(type="DrawnClips", n_frames=3, size=(64, 64), degradation=dict(type="Identity"), time_step=2),
        request=dict(scale=1, temporal_scale=2),
        metrics=_scores,
        methods=["bicubic", *_time],
    ),
    dict(
        name="space x4, time x2",
        dataset=dict(
            type="DrawnClips",
            n_frames=3,
            size=(96, 96),
            degradation=dict(type="BicubicDown", scale=4),
            time_step=2,
        ),
        request=dict(scale=4, temporal_scale=2),
        metrics=_scores,
        methods=["bicubic", *_space_time, *_cascades],
    ),
]
output = dict(comparison=False)
