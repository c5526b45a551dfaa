"""Write the tables of README.md, of docs/ and of the model cards from the data that they name.

    python tools/render_docs.py [FILE.md ...] [--check]

A block looks like this; what stands between its two lines is replaced:

    <!-- results: model_zoo/basicvsr_small_x4/results.json -->
    <!-- /results -->

results: PATH    a results file of `vrestore test`; `clips` after the path adds a row a clip
baselines: PATH  what tools/benchmarks/baselines.py measured
runs: PATH       what tools/benchmarks/deform_conv.py measured
loading: PATH    what tools/benchmarks/data_loading.py measured
speed: PATH      what tools/benchmarks/degradations.py measured
dials: PATH      what tools/benchmarks/venhancer_dials.py measured
zoo: PATH        the model zoo's index

It also writes model_zoo/cards.json, which `vrestore zoo` reads.

--check writes nothing and fails where a file is out of date.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"(<!-- (?P<kind>results|baselines|runs|loading|speed|dials|zoo): (?P<path>\S+)(?P<clips> clips)? -->\n)"
    r".*?(<!-- /(?P=kind) -->)",
    re.DOTALL,
)
DECIMALS = {"PSNR": 2, "SSIM": 4, "LPIPS": 4, "NIQE": 2, "tOF": 3}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE.md", help="default: README.md, docs/ and every card"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is out of date")
    arguments = parser.parse_args()
    own = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "model_zoo").glob("*/README.md"))]
    files = arguments.files or [ROOT / "README.md", *own]
    stale = [] if arguments.files else _record_cards(write=not arguments.check)
    for file in files:
        text = file.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda m: m[1] + _block(m["kind"], ROOT / m["path"], bool(m["clips"])) + m[5], text)
        if new != text:
            stale.append(file)
            if not arguments.check:
                file.write_text(new, encoding="utf-8")
    for file in stale:
        print(f"{'out of date' if arguments.check else 'wrote'}: {file}")
    return 1 if arguments.check and stale else 0


def _record_cards(write: bool) -> list[Path]:
    """Write the recorded cards; the file, where it was out of date."""
    from vrestore.checkpoints.cards import cards
    from vrestore.checkpoints.listing import record_file, write_record

    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / "cards.json"
        write_record(new, cards())
        file = record_file()
        if file.is_file() and file.read_bytes() == new.read_bytes():
            return []
        if write:
            shutil.copyfile(new, file)
        return [file]


def _block(kind: str, path: Path, clips: bool) -> str:
    if kind == "results":
        return render(path, clips)
    if kind == "baselines":
        return render_baselines(path)
    if kind == "runs":
        return render_runs(path)
    if kind == "loading":
        return render_loading(path)
    if kind == "speed":
        return render_speed(path)
    if kind == "dials":
        return render_dials(path)
    from vrestore.checkpoints.markdown import zoo_markdown

    return zoo_markdown()


def render_baselines(path: Path) -> str:
    """The table of what tools/benchmarks/baselines.py measured as Markdown."""
    if not path.is_file():
        return f"Not measured yet: `python tools/benchmarks/baselines.py` writes {path.relative_to(ROOT)}.\n"
    data = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| entry of the zoo | input | parameters | multiply-adds a frame (G) | seconds a frame | peak memory (MiB) |",
        "|---|---|---|---|---|---|",
    ]
    for row in data["rows"]:
        if row.get("error"):
            lines.append(f"| `{row['name']}` | {row['input']} | failed: {row['error']} | – | – | – |")
            continue
        cost = f"{row['macs_per_frame'] / 1e9:.1f} | {row['seconds_per_frame']:.3g}"
        memory = f"{row['peak_rss_bytes'] / 2**20:,.0f}"
        lines.append(f"| `{row['name']}` | {row['input']} | {row['parameters']:,} | {cost} | {memory} |")
    where = data["environment"]
    lines += ["", *(f"- {note}" for note in data["notes"]), ""]
    lines += [f"Measured on {where['cpu']}, {where['threads']} threads, torch {where['packages']['torch']}."]
    return "\n".join(lines) + "\n"


def render_runs(path: Path) -> str:
    """What tools/benchmarks/deform_conv.py measured as Markdown: each run, and how many times as long it takes."""
    data = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| what | seconds | largest difference to the exact path |", "|---|---|---|"]
    for row in data["rows"]:
        drift = row["largest_difference"]
        lines.append(f"| {row['what']} | {row['wall_s']:.3g} | {'–' if drift is None else f'{drift:.1e}'} |")
    lines += ["", *(f"- {what}: {times['wall']:.2f} times" for what, times in data["ratios"].items()), ""]
    where, (height, width) = data["environment"], data["settings"]["size"]
    lines += [
        f"Networks on {data['settings']['frames']} frames of {width}x{height}, on {where['cpu']}, {where['threads']} "
        f"threads, torch {where['packages']['torch']}."
    ]
    return "\n".join(lines) + "\n"


def render_loading(path: Path) -> str:
    """What tools/benchmarks/data_loading.py measured as Markdown."""
    data = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| from | samples a second | frames a second | s to begin |", "|---|---|---|---|"]
    names = {
        "none": "videos, no cache",
        "disk, first pass": "disk cache, first pass",
        "disk, later": "disk cache, later",
    }
    for row in data["rows"]:
        rates = f"{row['samples_per_second']:.1f} | {row['frames_per_second']:.0f}"
        lines.append(f"| {names.get(row['cache'], row['cache'])} | {rates} | {row['build_seconds']:.1f} |")
    s = data["settings"]
    lines += [
        "",
        f"{data['rows'][0]['clips']} clips, windows of {s['frames']} frames, crops of {s['crop']} pixels, bicubic "
        f"x{s['scale']:g}, {s['workers'] or 'no'} worker(s), on {data['machine']}, torch {data['torch']}.",
    ]
    return "\n".join(lines) + "\n"


def render_speed(path: Path) -> str:
    """What tools/benchmarks/degradations.py measured as Markdown: clips a second and times of steps, on both sides."""
    data = json.loads(path.read_text(encoding="utf-8"))
    coders = {"opencv": "JPEG by OpenCV (RealBasicVSR)", "simulated": "simulated JPEG (DiffJPEG)"}
    lines = ["| clips a second | ours | basicsr | ratio |", "|---|---|---|---|"]
    for coder, name in coders.items():
        for what, row in data["results"][coder]["clips_a_second"].items():
            lines.append(f"| {name}, {what} | {row['ours']:.2f} | {row['basicsr']:.2f} | **{row['ratio']:.2f}** |")
    lines += ["", "| milliseconds a clip | ours | basicsr |", "|---|---|---|"]
    for name, row in data["results"]["opencv"]["seconds_a_clip"].items():
        lines.append(f"| `{name}` | {row['ours'] * 1e3:.1f} | {row['basicsr'] * 1e3:.1f} |")
    unsharp, where, settings = data["results"]["unsharp_mask"], data["environment"], data["settings"]
    lines.append(
        f"| `UnsharpMask` (of the clean clip) | {unsharp['ours'] * 1e3:.0f} | {unsharp['basicsr'] * 1e3:.0f} |"
    )
    lines += ["", "| milliseconds a clip | OpenCV | PyTorch | largest difference |", "|---|---|---|---|"]
    for name, row in data["results"]["against_pytorch"].items():
        lines.append(f"| {name} | {row['ours'] * 1e3:.1f} | {row['pytorch'] * 1e3:.1f} | {row['drift']:.0e} |")
    side = settings["crop_px"]
    lines += [
        "",
        f"{settings['clips']} clips of {settings['frames']} frames of {side}x{side}, processor time of one thread, on "
        f"{where['cpu']}, torch {where['packages']['torch']}.",
    ]
    return "\n".join(lines) + "\n"


def render_dials(path: Path) -> str:
    """What tools/benchmarks/venhancer_dials.py measured as Markdown: a table a dial, its values across."""
    data = json.loads(path.read_text(encoding="utf-8"))
    lines: list[str] = []
    for dial in dict.fromkeys(row["dial"] for row in data["rows"]):
        rows = [row for row in data["rows"] if row["dial"] == dial]
        lines += ["| " + " | ".join([f"`{dial}`", *(f"{row['value']:g}" for row in rows)]) + " |"]
        lines += ["|" + "---|" * (len(rows) + 1)]
        for name, label, digits in (("sharpness", "sharpness", 3), ("niqe", "NIQE", 2), ("psnr_y", "PSNR-Y (dB)", 2)):
            lines += ["| " + " | ".join([label, *(f"{row[name]:.{digits}f}" for row in rows)]) + " |"]
        lines.append("")
    height, width = data["crop"]
    lines.append(f"{len(data['clips'])} clips, {data['frames']} frames of {width}x{height} of each, x4.")
    return "\n".join(lines) + "\n"


def render(path: Path, clips: bool = False) -> str:
    """The tables of a results file of `vrestore test` as Markdown."""
    results = json.loads(path.read_text(encoding="utf-8"))
    parts = []
    for table in results["tables"]:
        columns = [i for i, c in enumerate(table["columns"]) if _measured(table, i)]
        heads = [_heading(table["columns"][i]) for i in columns]
        lines = [
            f"{table['benchmark']}, {table['degradation']}: {len(table['clips'])} clips, {table['frames']} frames.",
            "",
            "| method | " + " | ".join(heads) + " | s/frame | parameters |",
            "|---" * (len(heads) + 3) + "|",
        ]
        for row in table["rows"]:
            cells = [_value(row["values"][i], table["columns"][i]) for i in columns]
            cost = f"{row['seconds_per_frame']:.2f} | {row['parameters']:,}"
            lines.append(f"| {row['method']} | " + " | ".join(cells) + f" | {cost} |")
        if clips:
            lines += ["", *_clip_table(results, table)]
        missing = [c["name"] for i, c in enumerate(table["columns"]) if i not in columns]
        note = f"; not measured here: {', '.join(missing)}" if missing else ""
        where = results["environment"]
        torch = where["packages"]["torch"]
        lines += ["", f"Measured on {where['cpu']}, {where['threads']} threads, torch {torch}{note}."]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _clip_table(results: dict, table: dict) -> list[str]:
    """PSNR-Y of every clip and method, and what each method gains on bicubic."""
    name = "PSNR-Y"
    scores: dict[str, dict[str, float]] = {}
    for cell in results["cells"]:
        if cell["benchmark"] == table["benchmark"]:
            value = next(s["mean"] for s in cell["scores"] if s["name"] == name)
            scores.setdefault(cell["clip"], {})[cell["method"]] = value
    methods = [row["method"] for row in table["rows"]]
    lines = [f"| {name} (dB) | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for clip in table["clips"]:
        lines.append(f"| {clip} | " + " | ".join(_gain(scores[clip], m) for m in methods) + " |")
    return lines


def _gain(scores: dict[str, float], method: str) -> str:
    if method == "bicubic" or "bicubic" not in scores:
        return f"{scores[method]:.2f}"
    return f"{scores[method]:.2f} ({scores[method] - scores['bicubic']:+.2f})"


def _measured(table: dict, column: int) -> bool:
    return any(row["values"][column]["measured"] for row in table["rows"])


def _heading(column: dict) -> str:
    unit = f" ({column['unit']})" if column["unit"] else ""
    return f"{column['name']}{unit} {'↑' if column['higher_is_better'] else '↓'}"


def _value(value: dict, column: dict) -> str:
    if not value["measured"]:
        return "not measured"
    text = f"{value['mean']:.{DECIMALS.get(column['protocol']['metric'], 3)}f}"
    return f"**{text}**" if value["best"] else text


if __name__ == "__main__":
    sys.exit(main())
