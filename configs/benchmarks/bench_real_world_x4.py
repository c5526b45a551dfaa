# Blind real-world degradation, x4, over the clips of ../shared/data/bench (or $VRESTORE_DATA): the numbers of the card
# of realbasicvsr-small-x4. The degraded clips are frozen, and made again bit for bit from the manifest in model_zoo/:
#
#   vrestore freeze model_zoo/realbasicvsr_small_x4/bench_frozen.json ../shared/data/bench work_dirs/bench_real_world
#   python tools/test.py configs/benchmarks/bench_real_world_x4.py
#
# The recipe is ../degradations/realbasicvsr.py: blur, noise, resizing, JPEG and video codecs, twice. Another folder
# that `vrestore freeze` made: --cfg-options benchmarks.0.dataset.root=…
methods = [
    dict(name="bicubic", model="bicubic"),
    dict(name="lanczos", model="lanczos"),
    dict(name="basicvsr-small-x4", model="basicvsr-small-x4"),
    dict(name="realbasicvsr-small-x4", model="realbasicvsr-small-x4"),
]
benchmarks = [
    dict(
        name="bench, real-world x4",
        dataset=dict(
            type="FrozenBenchmark",
            root="{{$VRESTORE_FROZEN:work_dirs/bench_real_world}}",
            hq_root="{{$VRESTORE_DATA:../shared/data/bench}}",
        ),
        request=dict(scale=4),
        metrics=[
            dict(type="PSNR", convert_to="Y"),
            dict(type="SSIM", convert_to="Y"),
            dict(type="NIQE"),
        ],
    )
]
output = dict(comparison=True)
