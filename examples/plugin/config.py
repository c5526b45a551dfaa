# Trains and tests the backbone of my_plugin.py on its degradation, judged by its metric. See README.md beside it.
custom_imports = dict(imports=["my_plugin.py"])  # beside this file

_clips = "work_dirs/plugin_clips"  # made by footage.py; any folder of clean videos will do
_haze = dict(type="Haze", least=0.4, most=0.6)

model = dict(
    type="RegressionRestorer",
    backbone=dict(type="TwoConvolutions", channels=16),
    pixel_loss=dict(type="L1Loss"),
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(type="ClipDataset", roots=_clips, degradation=_haze, frames=5, crop_px=48, cache="ram"),
)
optim_wrapper = dict(optimizer=dict(type="Adam", lr=3e-3))
train_cfg = dict(max_iters=200, val_interval=100)

val_dataloader = dict(dataset=dict(type="FolderBenchmark", root=_clips, degradation=_haze, max_frames=4))
val_evaluator = [dict(type="MeanError"), dict(type="PSNR", convert_to="RGB")]
