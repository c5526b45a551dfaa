# The openly licensed clips that the small models are trained on, and the three of them that only watch.
# Any other folder of clean videos: --cfg-options train_dataloader.dataset.roots=/my/clips
_data_root = "../shared/data/train"
_held_out = ["toy_frog*", "cups_540p*", "city_skyline_b*"]  # never trained on

train_dataloader = dict(
    num_workers=0,
    dataset=dict(type="ClipDataset", roots=_data_root, exclude=_held_out, cache="disk", too_small="skip"),
)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(type="FolderBenchmark", root=_data_root, include=_held_out, name="held-out"),
)
val_evaluator = dict(type="PSNR", convert_to="Y")
