# REDS4 as publications measure it: clips 000, 011, 015 and 020 of REDS, 100 frames each given whole, bicubic
# degradation x4 (BIx4, the published frames), scored on RGB without a border left out. Published scores under this
# protocol stand below the measured ones.
#
#   VRESTORE_DATASETS=/data python tools/test.py configs/benchmarks/reds4.py --methods bicubic,basicvsr-reds4
#
# The set lies in REDS/train_sharp and REDS/train_sharp_bicubic/X4 under $VRESTORE_DATASETS (./data where it names
# none).
methods = [
    "bicubic",
    "basicvsr-small-x4",
    "edvr-m-reds4",
    "edvr-l-reds4",
    "basicvsr-reds4",
    "iconvsr-reds4",
    "basicvsr-pp-reds4",
    "rvrt-reds4",
]
benchmarks = [
    dict(
        name="REDS4",
        dataset=dict(type="REDS4", root="{{$VRESTORE_DATASETS:data}}/REDS", degradation="BIx4"),
        request=dict(scale=4),
        metrics=[dict(type="PSNR", convert_to="RGB"), dict(type="SSIM", convert_to="RGB")],
    )
]
