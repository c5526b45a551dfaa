# REDS with bicubic degradation x4 (BIx4): its training clips but REDS4, which validates. The low-resolution frames
# that REDS publishes are the same degradation.
#
# The datasets lie under $VRESTORE_DATASETS (./data where it names none), here REDS/train_sharp and
# REDS/train_sharp_bicubic.
train_dataloader = dict(
    batch_size=8,
    num_workers=6,
    dataset=dict(
        type="ClipDataset",
        roots="{{$VRESTORE_DATASETS:data}}/REDS/train_sharp",
        exclude=["000", "011", "015", "020"],
        degradation=dict(type="BicubicDown", scale=4),
        frames=15,
        crop_px=256,
        time_reverse=False,
        weighting="clips",
    ),
)
val_dataloader = dict(batch_size=1, dataset=dict(type="REDS4", root="{{$VRESTORE_DATASETS:data}}/REDS"))
val_evaluator = [dict(type="PSNR", convert_to="RGB"), dict(type="SSIM", convert_to="RGB")]
