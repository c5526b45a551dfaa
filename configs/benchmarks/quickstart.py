# A first comparison, made for two CPU cores: classical interpolation against the small BasicVSR that ships, x4.
#
#   python tools/test.py configs/benchmarks/quickstart.py
#
# It runs on the clips of $VRESTORE_DATA (one folder a clip with its clean frames in gt.mp4 or gt/), else on those of
# ../shared/data/bench beside the checkout, else on a simulated camera over photographs that scikit-image brings along.
# Any other folder and any number of frames:
#
#   --cfg-options benchmarks.0.dataset.root=/my/clips benchmarks.0.dataset.max_frames=20
#
# Other methods join by name of the zoo or by config file, here the tiny VEnhancer, whose weights are random as yet:
#
#   --methods bicubic,basicvsr-small-x4,configs/venhancer/venhancer_tiny.py
_base_ = []  # builds on none; it tells MMEngine to read the import below as plain Python
import os  # noqa: E402

_beside = "{{ fileDirname }}/../../../shared/data/bench"
_root = os.environ.get("VRESTORE_DATA") or (_beside if os.path.isdir(_beside) else None)
_degradation = dict(type="BicubicDown", scale=4)

if _root is None:
    _dataset = dict(type="BundledClips", n_frames=6, size=(240, 320), degradation=_degradation)
else:
    # The first frames of each clip only: these numbers compare the methods of one table and nothing else.
    _dataset = dict(type="VrestoreBench", root=os.path.normpath(_root), max_frames=6, degradation=_degradation)

methods = [
    dict(name="nearest", model="nearest"),
    dict(name="bicubic", model="bicubic"),
    dict(name="lanczos", model="lanczos"),
    dict(name="basicvsr-small-x4", model="basicvsr-small-x4"),
]
benchmarks = [
    dict(
        name="quickstart",
        dataset=_dataset,
        request=dict(scale=4),
        metrics=[
            dict(type="PSNR", convert_to="Y"),
            dict(type="SSIM", convert_to="Y"),
            dict(type="PSNR", convert_to="RGB"),
            dict(type="NIQE"),
            dict(type="LPIPS"),
        ],
    )
]
output = dict(comparison=True)
