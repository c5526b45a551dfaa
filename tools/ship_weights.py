"""Put the weights of a finished training under model_zoo/, with its log and its validation curve.

    python tools/ship_weights.py work_dirs/basicvsr_small_x4 model_zoo/basicvsr_small_x4 --dtype fp16

Several work dirs, one stage after the other, give the weights of the last and the log of all.

Writes <name>.safetensors, training_log.jsonl and curve.png; the card is written by hand around them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work_dir", type=Path, nargs="+", help="work dir of the training, of its stages in order")
    parser.add_argument("out", type=Path, help="folder of the model")
    parser.add_argument("--dtype", choices=["fp16", "bf16"], help="round the weights to half the size")
    parser.add_argument("--checkpoint", type=Path, help="default: the last one")
    arguments = parser.parse_args()

    from vrestore.engine.checkpoint import find_last_checkpoint
    from vrestore.engine.export import export_weights
    from vrestore.engine.files import write_text

    checkpoint = arguments.checkpoint or find_last_checkpoint(arguments.work_dir[-1])
    if checkpoint is None:
        print(f"ship: {arguments.work_dir[-1]} has no checkpoint", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    weights = arguments.out / f"{arguments.out.name}.safetensors"
    export_weights(checkpoint, weights, dtype=arguments.dtype)
    log = arguments.out / "training_log.jsonl"
    rows: list[dict] = []
    for stage in arguments.work_dir:
        before = max((row["iter"] for row in rows), default=0)
        for line in (stage / "log.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows.append({**row, "iter": row["iter"] + before})
    write_text(log, "".join(json.dumps(row) + "\n" for row in rows))
    draw_curve(rows, arguments.out / "curve.png")
    print(f"{weights}: {weights.stat().st_size / 2**20:.2f} MiB from {checkpoint}")
    return 0


def draw_curve(rows: list[dict], path: Path) -> None:
    """Training loss and validation scores over the iterations, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    train = [r for r in rows if r["mode"] == "train"]
    val = [r for r in rows if r["mode"] == "val"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    for name in sorted({key for r in train for key in r if key.startswith("loss_")}):
        rows_with = [r for r in train if name in r]
        left.plot([r["iter"] for r in rows_with], [r[name] for r in rows_with], linewidth=0.8, label=name)
    left.set(xlabel="iteration", ylabel="loss", yscale="log", title="training")
    left.legend()
    for name in sorted({key for r in val for key in r} - {"mode", "iter", "seconds"}):
        right.plot([r["iter"] for r in val], [r[name] for r in val], marker="o", label=name)
    right.set(xlabel="iteration", title="held-out clips, averaged weights")
    right.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
