# The small RealBasicVSR for real-world videos, x4: its second stage, against a discriminator, on two CPU cores.
#
#   python tools/train.py configs/real_basicvsr/realbasicvsr_small_x4_wogan.py --amp bf16
#   python tools/train.py configs/real_basicvsr/realbasicvsr_small_x4.py --amp bf16
#
# There is no perceptual loss, whose weights are no part of this project; the adversarial loss therefore weighs little,
# and the pixel loss keeps hold. Crops are smaller and clips shorter than in the first stage: the discriminator takes
# its time.
_base_ = ["realbasicvsr_small_x4_wogan.py"]

load_from = "work_dirs/realbasicvsr_small_x4_wogan/weights.safetensors"

model = dict(
    type="AdversarialRestorer",
    discriminator=dict(type="UNetDiscriminatorSN", mid_channels=24),
    gan_loss=dict(type="GANLoss", gan_type="vanilla", loss_weight=0.02),
)

train_dataloader = dict(
    batch_size=2,
    dataset=dict(frames=4, crop_px=128, seed=1, transforms=[dict(type="UnsharpMask", keep=True)]),
)
optim_wrapper = dict(
    _delete_=True,
    generator=dict(optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.99)), clip_grad=dict(max_norm=0.5)),
    discriminator=dict(optimizer=dict(type="Adam", lr=2e-4, betas=(0.9, 0.99))),
)
param_scheduler = [dict(type="LinearLR", start_factor=0.05, begin=0, end=20)]
train_cfg = dict(max_iters=300, val_interval=150)
custom_hooks = [dict(type="EMAHook", momentum=0.02), dict(type="SampleImageHook", clips=3)]
