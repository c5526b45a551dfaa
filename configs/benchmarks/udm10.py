# UDM10 as publications measure it: ten clips of 32 frames given whole, scored on Y without a border left out. What is
# published is for blur with decimation (BDx4), and stands below the measured scores; bicubic (BIx4) is here to compare.
#
#   VRESTORE_DATASETS=/data python tools/test.py configs/benchmarks/udm10.py --methods bicubic,basicvsr-vimeo90k-bd
#
# The set lies in UDM10/GT, UDM10/BIx4 and UDM10/BDx4 under $VRESTORE_DATASETS (./data where it names none).
_bi = ["basicvsr-vimeo90k-bi", "iconvsr-vimeo90k-bi", "basicvsr-pp-vimeo90k-bi", "rvrt-vimeo90k-bi"]
_bd = ["basicvsr-vimeo90k-bd", "iconvsr-vimeo90k-bd", "basicvsr-pp-vimeo90k-bd", "rvrt-vimeo90k-bd"]
_root = "{{$VRESTORE_DATASETS:data}}/UDM10"
_scores = [dict(type="PSNR", convert_to="Y"), dict(type="SSIM", convert_to="Y")]

methods = ["bicubic", *_bi, *_bd]
benchmarks = [
    dict(
        name="UDM10, bicubic",
        dataset=dict(type="UDM10", root=_root, degradation="BIx4"),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_bi],
    ),
    dict(
        name="UDM10, blur and decimation",
        dataset=dict(type="UDM10", root=_root, degradation="BDx4"),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_bd],
    ),
]
