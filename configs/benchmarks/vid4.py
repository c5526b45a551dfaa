# Vid4 as publications measure it: four clips given whole, bicubic degradation (BIx4) and blur with decimation (BDx4),
# scored on Y without a border left out. Published scores under this protocol stand below the measured ones.
#
#   VRESTORE_DATASETS=/data python tools/test.py configs/benchmarks/vid4.py --methods bicubic,basicvsr-vimeo90k-bd
#
# The set lies in Vid4/GT, Vid4/BIx4 and Vid4/BDx4 under $VRESTORE_DATASETS (./data where it names none).
_bi = ["basicvsr-vimeo90k-bi", "iconvsr-vimeo90k-bi", "basicvsr-pp-vimeo90k-bi", "rvrt-vimeo90k-bi", "edvr-l-vimeo90k"]
_bd = ["basicvsr-vimeo90k-bd", "iconvsr-vimeo90k-bd", "basicvsr-pp-vimeo90k-bd", "rvrt-vimeo90k-bd"]
_root = "{{$VRESTORE_DATASETS:data}}/Vid4"
_scores = [dict(type="PSNR", convert_to="Y"), dict(type="SSIM", convert_to="Y")]

methods = ["bicubic", *_bi, *_bd]
benchmarks = [
    dict(
        name="Vid4, bicubic",
        dataset=dict(type="Vid4", root=_root, degradation="BIx4"),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_bi],
    ),
    dict(
        name="Vid4, blur and decimation",
        dataset=dict(type="Vid4", root=_root, degradation="BDx4"),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_bd],
    ),
]
