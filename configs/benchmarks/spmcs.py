# SPMCS-30: thirty clips of 31 frames given whole, scored on Y without a border left out, as Vid4 and UDM10 are. The
# releases of the recurrent networks publish no scores on it, so none stand below the measured ones.
#
#   VRESTORE_DATASETS=/data python tools/test.py configs/benchmarks/spmcs.py --methods bicubic,basicvsr-vimeo90k-bd
#
# The set lies in SPMCS/GT, SPMCS/BIx4 and SPMCS/BDx4 under $VRESTORE_DATASETS (./data where it names none).
_bi = ["basicvsr-vimeo90k-bi", "iconvsr-vimeo90k-bi", "basicvsr-pp-vimeo90k-bi", "rvrt-vimeo90k-bi"]
_bd = ["basicvsr-vimeo90k-bd", "iconvsr-vimeo90k-bd", "basicvsr-pp-vimeo90k-bd", "rvrt-vimeo90k-bd"]
_root = "{{$VRESTORE_DATASETS:data}}/SPMCS"
_scores = [dict(type="PSNR", convert_to="Y"), dict(type="SSIM", convert_to="Y")]

methods = ["bicubic", *_bi, *_bd]
benchmarks = [
    dict(
        name="SPMCS, bicubic",
        dataset=dict(type="SPMCS", root=_root, degradation="BIx4"),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_bi],
    ),
    dict(
        name="SPMCS, blur and decimation",
        dataset=dict(type="SPMCS", root=_root, degradation="BDx4"),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_bd],
    ),
]
