"""Each fault of a training config has its sentence, before anything is built."""

import pytest

from tests.engine.parts import tiny_config
from vrestore.engine.checks import check_training_config
from vrestore.engine.train import prepare_config
from vrestore.errors import ConfigError, RegistryError

FAULTS = [
    ({"trian_cfg": {}}, "the training config has no key 'trian_cfg'; did you mean 'train_cfg'.*begin with '_'"),
    ({"model": None}, r"needs model=dict\(…\): the restorer; it is missing"),
    ({"train_dataloader": [1]}, r"needs train_dataloader=dict\(…\).*got list"),
    ({"train_cfg": {}}, r"train_cfg needs max_iters, a whole number >= 1"),
    ({"train_cfg.max_iters": 1.5}, r"train_cfg\.max_iters must be a whole number >= 1, got 1\.5"),
    ({"train_cfg.max_iters": 0}, r"train_cfg\.max_iters must be a whole number >= 1, got 0"),
    ({"randomness": {"seed": -1}}, r"randomness\.seed must be a whole number >= 0, got -1"),
    ({"train_cfg.val_interval": -1}, r"train_cfg\.val_interval must be a whole number >= 1, got -1"),
    ({"train_cfg.max_epochs": 3}, r"train_cfg: StreamTrainLoop \(LOOPS\) takes no argument 'max_epochs'"),
    ({"train_dataloader.dataset": "clips"}, r"train_dataloader needs dataset=dict\(type='…', …\)"),
    ({"train_dataloader": {"dataset": {"type": "TinyClips"}}}, "train_dataloader needs batch_size"),
    ({"train_dataloader.num_workers": -1}, r"train_dataloader\.num_workers must be a whole number >= 0, got -1"),
    ({"train_dataloader.dataset.sise": 3}, r"train_dataloader\.dataset: TinyClips .* did you mean 'size'"),
    ({"optim_wrapper": {"clip_grad": {"max_norm": 1}}}, r"optim_wrapper needs optimizer=dict\(type='Adam', lr=…\)"),
    ({"optim_wrapper.optimizer.learning_rate": 1}, r"optim_wrapper\.optimizer: Adam .*no argument 'learning_rate'"),
    ({"optim_wrapper.precision": "bf8"}, "precision must be one of fp32, bf16, fp16, got 'bf8'"),
    ({"optim_wrapper.acumulative_counts": 2}, "did you mean 'accumulative_counts'"),
    ({"optim_wrapper.accumulative_counts": 5}, r"checkpoint\.interval=4 must be a multiple of .*=5,.* 5 would do"),
    (
        {"optim_wrapper.accumulative_counts": 4, "train_cfg.max_iters": 10},
        r"train_cfg\.max_iters=10 must be a multiple of optim_wrapper\.accumulative_counts=4.*8 or 12 would do",
    ),
    ({"param_scheduler": [{"start_factor": 0.1}]}, r"param_scheduler\[0\]: PARAM_SCHEDULERS is built from dict"),
    ({"param_scheduler": [{"type": "LinearLR", "by_epoch": True}]}, r"param_scheduler\[0\]\.by_epoch=True is not"),
    ({"param_scheduler": {"type": "LinearLR", "begin": 5, "end": 3}}, r"ends at 3, before it begins at 5"),
    ({"val_evaluator": None}, "validation needs val_dataloader and val_evaluator; val_evaluator is missing"),
    ({"default_hooks.logger.intervall": 3}, r"default_hooks\.logger: LogHook .*did you mean 'interval'"),
    ({"default_hooks.checkpoint.interval": 0}, r"default_hooks\.checkpoint\.interval must be a whole number >= 1"),
    ({"custom_hooks": ["EMAHook"]}, r"custom_hooks\[0\] must be a dict\(type='Name', …\) of HOOKS, got 'EMAHook'"),
]
MISSES = [
    ({"model.type": "RegresionRestorer"}, r"model: 'RegresionRestorer' is not registered in MODELS"),
    ({"train_dataloader.dataset.type": "TinyClip"}, r"train_dataloader\.dataset: .*closest: TinyClips"),
    ({"train_dataloader.sampler": {"type": "StreamSamler"}}, r"train_dataloader\.sampler: .*closest: StreamSampler"),
    ({"optim_wrapper.type": "AutocastWrapper"}, "closest: AutocastOptimWrapper"),
    ({"optim_wrapper.optimizer.type": "Adm"}, r"optim_wrapper\.optimizer: 'Adm' is not registered in OPTIMIZERS"),
    ({"param_scheduler": [{"type": "CosinLR"}]}, r"param_scheduler\[0\]: 'CosinLR' is not registered"),
    ({"val_evaluator": [{"type": "TinyEror"}]}, r"val_evaluator\[0\]: .*closest: TinyError"),
    ({"custom_hooks": [{"type": "FreezHook"}]}, r"custom_hooks\[0\]: .*closest: FreezeHook"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_fault_has_its_sentence(changes, message):
    with pytest.raises(ConfigError, match=message):
        check_training_config(prepare_config(tiny_config(**changes)))


@pytest.mark.parametrize(("changes", "message"), MISSES)
def test_unknown_type_names_its_place_and_the_closest(changes, message):
    with pytest.raises(RegistryError, match=message):
        check_training_config(prepare_config(tiny_config(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"_my_helper": 3},
        {"val_dataloader": None, "val_evaluator": None},
        {"default_hooks": {"logger": None}},
        {"custom_hooks": [{"type": "EMAHook", "priority": "ABOVE_NORMAL"}]},
        {"param_scheduler": [{"type": "CosineAnnealingLR", "begin": 50}]},  # a run shortened for a trial
        {"optim_wrapper.accumulative_counts": 2},
    ],
)
def test_sound_config_passes(changes):
    check_training_config(prepare_config(tiny_config(**changes)))


def test_unknown_launcher():
    with pytest.raises(ConfigError, match="launcher must be 'none' or 'pytorch', got 'slurm'"):
        prepare_config(tiny_config(), launcher="slurm")
