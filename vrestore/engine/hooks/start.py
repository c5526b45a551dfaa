"""StartFromHook: parts of the model that begin a training with weights of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from vrestore.checkpoints.network import fill_from_file
from vrestore.checkpoints.zoo import file_at
from vrestore.errors import ConfigError
from vrestore.registry import HOOKS


@HOOKS.register_module()
class StartFromHook(Hook):
    """Loads weights into parts of the model before a training begins, e.g. a pretrained SPyNet into a BasicVSR.

    A run that is resumed goes on with its own weights.

    Args:
        parts: weight file or address by the part's name, e.g. ``{'backbone.spynet': 'spynet.pth'}``, as
            `vrestore.checkpoints.zoo.file_at` takes it; files under the part's own names and official releases serve.
        leave_out: glob patterns on the names of weights in the files that the parts do without: a network of fewer
            blocks begins with the first ones of a deeper one.

    Raises:
        ConfigError: no part of the model has that name.
        WeightsError: a file is missing, cannot be downloaded, or does not fit exactly.
    """

    priority = "VERY_HIGH"  # before the average of the weights is begun

    def __init__(self, parts: Mapping[str, str], leave_out: Sequence[str] = ()):
        self.parts = dict(parts)
        self.leave_out = [leave_out] if isinstance(leave_out, str) else list(leave_out)

    def before_run(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for name, weights in self.parts.items():
            called = "discriminator" if name == "discriminator" else None  # the other network of an adversarial file
            subject, file = f"{weights} for the part {name}", file_at(weights)
            fill_from_file(_part(model, name), file, subject=subject, leave_out=self.leave_out, part=called)
            runner.logger.info(f"{name} starts from {weights}")


def _part(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        own = ", ".join(child for child, _ in model.named_children())
        raise ConfigError(f"StartFromHook: the model has no part '{name}' ({error}); it begins with: {own}") from error
