# Vimeo-90K-T, 7824 septuplets of which the middle frame is judged, on Y without a border left out, under both
# protocols:
#
# - mirrored: the seven frames and the same in reverse are given, and the mean of both centre frames is judged. So the
#   recurrent networks that were trained on mirrored septuplets are published; those scores stand below the measured.
# - centre frame: the seven frames as they are; the fourth is judged.
#
#   VRESTORE_DATASETS=/data python tools/test.py configs/benchmarks/vimeo90k_t.py --methods bicubic
#
# A trial of the first 50: --cfg-options benchmarks.0.dataset.first=50 … The set lies in vimeo90k under
# $VRESTORE_DATASETS (./data where it names none): sep_testlist.txt, sequences, BIx4, BDx4.
_bi = ["basicvsr-vimeo90k-bi", "iconvsr-vimeo90k-bi", "basicvsr-pp-vimeo90k-bi", "rvrt-vimeo90k-bi"]
_bd = ["basicvsr-vimeo90k-bd", "iconvsr-vimeo90k-bd", "basicvsr-pp-vimeo90k-bd", "rvrt-vimeo90k-bd"]
_root = "{{$VRESTORE_DATASETS:data}}/vimeo90k"
_scores = [dict(type="PSNR", convert_to="Y"), dict(type="SSIM", convert_to="Y")]

methods = ["bicubic", *_bi, *_bd, "edvr-l-vimeo90k"]
benchmarks = [
    dict(
        name="Vimeo-90K-T mirrored, bicubic",
        dataset=dict(type="Vimeo90KT", root=_root, degradation="BIx4", protocol="mirrored"),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_bi],
    ),
    dict(
        name="Vimeo-90K-T mirrored, blur and decimation",
        dataset=dict(type="Vimeo90KT", root=_root, degradation="BDx4", protocol="mirrored"),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_bd],
    ),
    dict(
        name="Vimeo-90K-T centre frame, bicubic",
        dataset=dict(type="Vimeo90KT", root=_root, degradation="BIx4", protocol="centre"),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_bi, "edvr-l-vimeo90k"],
    ),
    dict(
        name="Vimeo-90K-T centre frame, blur and decimation",
        dataset=dict(type="Vimeo90KT", root=_root, degradation="BDx4", protocol="centre"),
        request=dict(scale=4),
        metrics=_scores,
        methods=["bicubic", *_bd],
    ),
]
output = dict(comparison=False)
