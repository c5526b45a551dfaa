"""Write the tables of README.md and of the model cards from the result files that they name.

    python tools/render_docs.py [FILE.md ...] [--check]

A block looks like this; what stands between its two lines is replaced:

    <!-- results: model_zoo/basicvsr_small_x4/results.json -->
    <!-- /results -->

`clips` after the path adds a row a clip. --check writes nothing and fails where a file is out of date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- results: (?P<path>\S+)(?P<clips> clips)? -->\n).*?(<!-- /results -->)", re.DOTALL)
DECIMALS = {"PSNR": 2, "SSIM": 4, "LPIPS": 4, "NIQE": 2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.md", help="default: README.md and every card")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is out of date")
    arguments = parser.parse_args()
    files = arguments.files or [ROOT / "README.md", *sorted((ROOT / "model_zoo").glob("*/README.md"))]
    stale = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda m: m[1] + render(ROOT / m["path"], bool(m["clips"])) + m[4], text)
        if new != text:
            stale.append(file)
            if not arguments.check:
                file.write_text(new, encoding="utf-8")
    for file in stale:
        print(f"{'out of date' if arguments.check else 'wrote'}: {file}")
    return 1 if arguments.check and stale else 0


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
