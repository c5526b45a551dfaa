# Space x4 and time x2 at once, over the clips of ../shared/data/bench (or $VRESTORE_DATA): every second frame is taken
# away, the others are made small. The numbers of the card of venhancer-tiny.
#
#   python tools/test.py configs/benchmarks/bench_x4_t2.py
#
# They are made small bilinearly without antialiasing, as VEnhancer is trained, and by MATLAB's bicubic. PSNR is told
# of all frames and of the key frames, those that were given; tOF compares the motion.
_shrunk = {
    "bilinear": dict(type="ResizeTo", scale=4, ops=["bilinear"]),
    "BIx4": dict(type="BicubicDown", scale=4),
}

methods = [
    dict(name="bicubic, frames repeated", model=dict(type="ResampleRestorer", spatial="bicubic", temporal="repeat")),
    dict(name="bicubic, frames blended", model=dict(type="ResampleRestorer", spatial="bicubic", temporal="blend")),
    dict(name="bilinear, frames blended", model=dict(type="ResampleRestorer", spatial="bilinear", temporal="blend")),
    dict(name="venhancer-tiny", model="venhancer-tiny"),
]
benchmarks = [
    dict(
        name=f"bench, {name}, time x2",
        dataset=dict(
            type="VrestoreBench",
            root="{{$VRESTORE_DATA:../shared/data/bench}}",
            degradation=shrunk,
            time_step=2,
            max_frames=10,
            crop_to=(288, 400),
        ),
        request=dict(scale=4, temporal_scale=2),
        metrics=[
            dict(type="PSNR", convert_to="Y", every=2),
            dict(type="PSNR", convert_to="Y"),
            dict(type="SSIM", convert_to="Y"),
            dict(type="NIQE"),
            dict(type="TOF"),
        ],
    )
    for name, shrunk in _shrunk.items()
]
output = dict(comparison=True)
