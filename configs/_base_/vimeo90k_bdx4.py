# Vimeo-90K with blur and decimation x4 (BDx4): as vimeo90k_bix4.py, with another degradation.
_base_ = ["vimeo90k_bix4.py"]

train_dataloader = dict(dataset=dict(degradation=dict(_delete_=True, type="BlurDown", scale=4)))
val_dataloader = dict(dataset=dict(degradation="BDx4"))
