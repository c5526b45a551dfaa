"""DamagedClipsHook: damaged clips are counted and named in the log, wherever they were met."""

from __future__ import annotations

from mmengine.hooks import Hook

from vrestore.engine.damage import DAMAGED_CLIPS
from vrestore.registry import HOOKS


@HOOKS.register_module()
class DamagedClipsHook(Hook):
    """Says which clips could not be opened, which turned out damaged, and how many of their windows were drawn anew.

    A clip is told with its reason when it is met first; the counts are told with every checkpoint that follows a
    change, and at the end. Checkpoints hold them, so that a resumed run counts on. ``log.jsonl`` has their sum as
    ``damaged_windows``.
    """

    priority = "ABOVE_NORMAL"  # before the log's line and the checkpoint of the iteration

    def before_train(self, runner) -> None:
        self._counts: dict[str, int] = dict(runner.message_hub.runtime_info.get(DAMAGED_CLIPS) or {})
        self._met: set[str] = set()
        self._told = sum(self._counts.values())
        unreadable = getattr(runner.train_loop.dataloader.dataset, "unreadable", None)
        if unreadable:
            reasons = "; ".join(f"{name} ({reason})" for name, reason in sorted(unreadable.items()))
            runner.logger.warning(f"{len(unreadable)} clips cannot be read and are left out: {reasons}")

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        damage = runner.train_loop.damage
        for name, reason in damage:
            self._counts[name] = self._counts.get(name, 0) + 1
            if name not in self._met:
                self._met.add(name)
                runner.logger.warning(f"{name} is damaged and its windows are drawn anew from other clips: {reason}")
        if damage:
            runner.message_hub.update_info(DAMAGED_CLIPS, dict(self._counts))

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if sum(self._counts.values()) > self._told:
            self._told = sum(self._counts.values())
            runner.logger.warning(f"so far, {summary(self._counts)}")

    def after_train(self, runner) -> None:
        if self._counts:
            runner.logger.warning(f"in all, {summary(self._counts)}")


def summary(counts: dict[str, int]) -> str:
    """How many windows of which clips, those met most first."""
    names = ", ".join(f"{name} ({n})" for name, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    windows, clips = sum(counts.values()), len(counts)
    return (
        f"{windows} window{'s' * (windows != 1)} of {clips} damaged clip{'s' * (clips != 1)} "
        f"{'were' if windows != 1 else 'was'} drawn anew: {names}"
    )
