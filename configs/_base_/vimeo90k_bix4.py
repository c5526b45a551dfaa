# Vimeo-90K with bicubic degradation x4 (BIx4): septuplets mirrored from 7 to 14 frames; Vid4 validates.
#
# The datasets lie under $VRESTORE_DATASETS (./data where it names none), here vimeo90k/sequences with
# vimeo90k/sep_trainlist.txt, and Vid4.
train_dataloader = dict(
    batch_size=8,
    num_workers=6,
    dataset=dict(
        type="ClipDataset",
        roots="{{$VRESTORE_DATASETS:data}}/vimeo90k/sequences",
        names="{{$VRESTORE_DATASETS:data}}/vimeo90k/sep_trainlist.txt",
        degradation=dict(type="BicubicDown", scale=4),
        frames=7,
        crop_px=256,
        time_reverse=False,
        weighting="clips",
        transforms=[dict(type="MirrorExtend")],
    ),
)
val_dataloader = dict(
    batch_size=1, dataset=dict(type="Vid4", root="{{$VRESTORE_DATASETS:data}}/Vid4", degradation="BIx4")
)
val_evaluator = [dict(type="PSNR", convert_to="Y"), dict(type="SSIM", convert_to="Y")]
