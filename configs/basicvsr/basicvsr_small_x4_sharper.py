# A third run for the small BasicVSR, from the weights that basicvsr_small_x4_longer.py left in its work dir: crops are
# always shrunk, and further. These are the weights that ship.
#
#   python tools/train.py configs/basicvsr/basicvsr_small_x4_sharper.py --amp bf16
#
# Footage of benchmarks is sharp to the pixel; most clips on the web, at their own size, are not.
_base_ = ["basicvsr_small_x4_longer.py"]

load_from = "work_dirs/basicvsr_small_x4_longer/weights.safetensors"

model = dict(auxiliary_losses=dict(flow=dict(loss_weight=0.1)))
train_dataloader = dict(dataset=dict(shrink=(1.2, 3.4), seed=2))
train_cfg = dict(max_iters=4400, val_interval=550)
