# Every frame of the clips in ../shared/data/bench (or $VRESTORE_DATA), x4 from bicubic degradation: the numbers of the
# card of basicvsr-small-x4. The sharper bicubic of torch and OpenCV stands beside MATLAB's, which papers mean.
methods = [
    dict(name="nearest", model="nearest"),
    dict(name="bilinear", model="bilinear"),
    dict(name="bicubic", model="bicubic"),
    dict(name="bicubic-torch", model=dict(type="ResampleRestorer", spatial="bicubic-torch")),
    dict(name="lanczos", model="lanczos"),
    dict(name="basicvsr-small-x4", model="basicvsr-small-x4"),
]
benchmarks = [
    dict(
        name="bench",
        dataset=dict(
            type="VrestoreBench",
            root="{{$VRESTORE_DATA:../shared/data/bench}}",
            degradation=dict(type="BicubicDown", scale=4),
        ),
        request=dict(scale=4),
        metrics=[
            dict(type="PSNR", convert_to="Y"),
            dict(type="SSIM", convert_to="Y"),
            dict(type="PSNR", convert_to="RGB"),
            dict(type="NIQE"),
        ],
    )
]
output = dict(comparison=True)
