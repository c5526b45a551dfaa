# A second run for the small BasicVSR, from the weights that basicvsr_small_x4.py left in its work dir: longer windows,
# and crops cut larger and shrunk; basicvsr_small_x4_sharper.py goes on.
#
#   python tools/train.py configs/basicvsr/basicvsr_small_x4_longer.py --amp bf16
#
# Ten frames instead of six teach it to carry detail further; shrunk crops are sharper to the pixel than the clips are.
_base_ = ["basicvsr_small_x4.py"]

load_from = "work_dirs/basicvsr_small_x4/weights.safetensors"

train_dataloader = dict(batch_size=2, dataset=dict(frames=10, shrink=(1.0, 2.5), seed=1))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_iters=2400, val_interval=400)
