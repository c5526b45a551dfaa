# VideoLQ: fifty degraded clips from the web without clean partners, restored x4 and scored by NIQE on Y.
# RealBasicVSR's published NIQE comes from MATLAB code, whose numbers differ a little from this one's, so it is not
# put beside it; 'vrestore zoo realbasicvsr' shows it.
#
#   VRESTORE_DATASETS=/data python tools/test.py configs/benchmarks/videolq.py
#
# The set lies in VideoLQ under $VRESTORE_DATASETS (./data where it names none), a folder a clip.
methods = [
    "bicubic",
    "realesrgan-x4plus",
    "realesr-general-x4v3",
    "swinir-real-m-x4",
    "realbasicvsr",
    # the threshold that its paper tests with: several passes of cleaning where a clip needs them
    dict(
        name="realbasicvsr, threshold 5",
        model=dict(
            type="RegressionRestorer",
            backbone=dict(type="RealBasicVSR", dynamic_refine_thres=5, is_sequential_cleaning=False),
        ),
        weights="https://download.openmmlab.com/mmediting/restorers/real_basicvsr/"
        "realbasicvsr_c64b20_1x30x8_lr5e-5_150k_reds_20211104-52f77c2c.pth",
    ),
]
benchmarks = [
    dict(
        name="VideoLQ",
        dataset=dict(type="VideoLQ", root="{{$VRESTORE_DATASETS:data}}/VideoLQ"),
        request=dict(scale=4),
        metrics=[dict(type="NIQE")],
    )
]
