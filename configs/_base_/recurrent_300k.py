# How the recurrent networks are trained: the schedule of 300 000 iterations, and a flow network that begins with
# pretrained weights and stays as it is for the first 5000 of them.
_base_ = ["default_runtime.py", "schedule_cosine_300k.py"]

_spynet = "https://download.openmmlab.com/mmediting/restorers/basicvsr/spynet_20210409-c6c1bd09.pth"

custom_hooks = [
    dict(type="EMAHook", momentum=0.001),
    dict(type="SampleImageHook", clips=4),
    dict(type="StartFromHook", parts={"backbone.spynet": _spynet}),
    dict(type="FreezeHook", names="backbone.spynet", iters=5_000),
]
