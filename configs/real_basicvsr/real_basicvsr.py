# RealBasicVSR as released: the threshold 255 means one pass of cleaning; 5 is what its paper tests with.
#
# Its training (150 000 iterations after the first stage, which is real_basicvsr_wogan.py: Adam 5e-5 and 1e-4 for the
# discriminator, pixel, cleaning, perceptual and adversarial loss) needs a perceptual and an adversarial loss, which
# this project does not have yet; so there is none here.
model = dict(
    type="RegressionRestorer",
    backbone=dict(
        type="RealBasicVSR",
        mid_channels=64,
        num_propagation_blocks=20,
        num_cleaning_blocks=20,
        dynamic_refine_thres=255,
        is_sequential_cleaning=True,
    ),
)
