"""The `vrestore` command: train, test, restore, freeze, shard, zoo. Nothing heavy is imported before one is chosen."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vrestore.errors import ConfigError, VRestoreError, WeightsError
from vrestore.version import __version__

USER_ERROR = 2
INTERRUPTED = 130

# Options of `restore` that go to restore_video under their own name, and only when given: each default has one home.
RESTORE_OPTIONS = (
    *(
        "weights",
        "content",
        "quality",
        "offline",
        "scale",
        "size",
        "fps",
        "prompt",
        "negative_prompt",
        "strength",
        "steps",
        "seed",
        "precision",
    ),
    *("folder_fps", "codec", "crf", "preset", "pix_fmt", "block_frames", "device", "overwrite"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0; 2 after a mistake that the person can mend, told in one sentence on stderr; 130 when
        interrupted; of `test`, 1 when a method failed. Anything else is a defect and keeps its traceback.
    """
    arguments = build_parser().parse_args(argv)
    debug = getattr(arguments, "debug", False)
    try:
        with _speaking_plainly(debug):
            return arguments.run(arguments)
    except VRestoreError as error:
        if debug:
            raise
        print(f"vrestore: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt as error:
        if debug:
            raise
        print(f"vrestore: {str(error) or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `vrestore zoo | head`; without this Python complains again when it flushes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE",
        help="import your own module first, so that it can register backbones, degradations, metrics, …: "
        "a .py file, a package folder or a module name; may be given several times",
    )
    common.add_argument("--debug", action="store_true", help="show the traceback of every error")
    parser = argparse.ArgumentParser(
        prog="vrestore",
        description="Train, compare and use video restoration methods.",
        epilog=(
            "examples:\n"
            "  vrestore restore in.mp4 out.mp4 --model bicubic --scale 4\n"
            "  vrestore train configs/basicvsr/basicvsr_small_x4.py --amp bf16\n"
            "  vrestore test configs/benchmarks/quickstart.py\n"
            "  vrestore freeze degradations/realbasicvsr clips/ frozen/\n"
            "  vrestore shard clips/ shards/\n"
            "  vrestore zoo\n\n"
            "'vrestore COMMAND --help' explains a command."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vrestore {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (_add_train, _add_test, _add_restore, _add_freeze, _add_shard, _add_zoo):
        add(commands, common)
    return parser


def _command(
    commands: Any, common: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int], summary: str, epilog: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        run.__name__,
        parents=[common],
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a config file, or the name of one that comes with vrestore")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="override values of the config, e.g. train_cfg.max_iters=1000 'model.backbone.channels=[32, 64]'",
    )
    parser.add_argument("--work-dir", metavar="DIR", help="where everything is written (default: the config's)")


def _add_train(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = _command(
        commands,
        common,
        train,
        "train a method from a config",
        "examples:\n"
        "  vrestore train my_config.py --work-dir work_dirs/first\n"
        "  vrestore train my_config.py --work-dir work_dirs/first --resume          goes on exactly where it stopped\n"
        "  vrestore train my_config.py --cfg-options optim_wrapper.optimizer.lr=1e-4 --amp bf16\n"
        "  vrestore train my_config.py --plugin my_network.py                       a network of your own\n"
        "  torchrun --nproc_per_node=4 tools/train.py my_config.py --launcher pytorch\n\n"
        "Ctrl-C ends a training after its current step, with a checkpoint.",
    )
    _add_config(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="CHECKPOINT",
        help="go on from the last checkpoint of the work dir, or from the one named",
    )
    parser.add_argument("--amp", choices=["bf16", "fp16"], help="mixed precision (fp16 needs a CUDA device)")
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch"],
        default="pytorch" if "TORCHELASTIC_RUN_ID" in os.environ else "none",
        help="pytorch: this is one of the processes that torchrun started (default: noticed by itself)",
    )


def _add_test(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = _command(
        commands,
        common,
        test,
        "measure one trained model, or compare methods on benchmarks",
        "examples:\n"
        "  vrestore test configs/benchmarks/quickstart.py            every method of the config on its benchmarks\n"
        "  vrestore test configs/benchmarks/quickstart.py --methods bicubic,basicvsr-small-x4\n"
        "  vrestore test my_config.py work_dirs/my_config/iter_10000.pth     one trained model\n\n"
        "Finished cells are kept in the work dir: a second run does only what is missing. The exit status is 1 when a\n"
        "method failed; the others are still measured.",
    )
    _add_config(parser)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", nargs="?", help="weights of the config's model")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, … (default: the GPU where there is one)")
    parser.add_argument(
        "--methods",
        metavar="A,B",
        help="only these methods of a benchmark config; names of the zoo and config files may join",
    )


def _add_restore(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = _command(
        commands,
        common,
        restore,
        "restore a video or a folder of frames",
        "examples:\n"
        "  vrestore restore in.mp4 out.mp4                              the model that suits clip and machine\n"
        "  vrestore restore in.mp4 out.mp4 --quality best --content animation\n"
        "  vrestore restore in.mp4 out.mkv --model lanczos --size 1080x1920 --codec h265 --pix-fmt yuv420p10le\n"
        "  vrestore restore frames/ out.mp4 --model bicubic --scale 2 --fps 60\n"
        "  vrestore restore in.mp4 out.mkv --codec ffv1 --config my_config.py --weights work_dirs/my/iter_10000.pth\n\n"
        "'vrestore zoo' lists the models. An output that exists is only replaced with --overwrite.",
    )
    parser.add_argument("source", metavar="IN", help="a video file or a folder of images")
    parser.add_argument("target", metavar="OUT", help="a video file, or a folder of PNG images")
    method = parser.add_argument_group("method")
    which = method.add_mutually_exclusive_group()
    which.add_argument(
        "--model",
        metavar="NAME",
        help="a name of the zoo, a weight file, or auto (the default): the model that suits clip and machine",
    )
    which.add_argument("--config", metavar="FILE", help="a config instead, whose model is taken")
    method.add_argument(
        "--content", choices=["real", "animation"], help="what the clip shows, for --model auto (default: real)"
    )
    method.add_argument(
        "--quality",
        choices=["fast", "balanced", "best"],
        help="for --model auto (default: balanced: fast on a CPU, best on a GPU)",
    )
    method.add_argument("--offline", action="store_true", default=None, help="use only weights on this machine")
    method.add_argument("--weights", metavar="FILE", help="weights instead of the model's own: a file or an address")
    method.add_argument("--device", help="cpu, cuda, cuda:1, … (default: the GPU where there is one)")
    asked = parser.add_argument_group("what is asked")
    asked.add_argument("--scale", type=float, help="factor of height and width")
    asked.add_argument("--size", type=_size, metavar="HxW", help="height x width in pixels instead, e.g. 1080x1920")
    asked.add_argument("--fps", type=_rate, metavar="RATE", help="frame rate, e.g. 60 or 24000/1001")
    asked.add_argument(
        "--folder-fps", type=_rate, metavar="RATE", help="frame rate of a folder of images (default: 25)"
    )
    asked.add_argument("--prompt", help="text for models that take one")
    asked.add_argument("--negative-prompt", metavar="TEXT", help="what to steer away from")
    asked.add_argument("--strength", type=int, metavar="0-300", help="noise added first by generative models")
    asked.add_argument("--steps", type=int, help="sampling steps of generative models")
    asked.add_argument("--seed", type=int, help="of all randomness (default: 0)")
    asked.add_argument("--precision", metavar="fp32|bf16|fp16", help="of the computation (default: fp32)")
    output = parser.add_argument_group("output")
    output.add_argument("--codec", help="h264, h265, ffv1 or png (default: by the ending of OUT)")
    output.add_argument("--crf", type=float, help="quality of H.264 and H.265: lower is better and larger")
    output.add_argument("--preset", help="speed of H.264 and H.265: ultrafast … veryslow")
    output.add_argument("--pix-fmt", metavar="FORMAT", help="e.g. yuv420p, yuv444p, yuv420p10le")
    output.add_argument("--block-frames", type=int, metavar="N", help="frames in memory at a time")
    output.add_argument("--overwrite", action="store_true", default=None, help="replace OUT where it exists")


def _add_freeze(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = _command(
        commands,
        common,
        freeze,
        "degrade clips once and keep them without loss, or check such clips",
        "examples:\n"
        "  vrestore freeze degradations/realbasicvsr clips/ frozen/            makes frozen/ with its manifest.json\n"
        "  vrestore freeze degradations/realbasicvsr clips/ frozen/ --seed 3 --max-frames 50\n"
        "  vrestore freeze frozen/manifest.json clips/ again/                  the same frames, bit for bit\n"
        "  vrestore freeze --check frozen/                                     are all frames as they were?\n\n"
        "A recipe is a config with degradation=dict(type=…); configs/degradations/ holds the published ones. The\n"
        "manifest keeps recipe, seed, versions, and for each clip what was drawn and the SHA-256 of its frames.\n"
        "Codecs differ between builds of FFmpeg: where frames come out differently, the versions that changed are\n"
        "told. A benchmark reads the folder: dict(type='FrozenBenchmark', root='frozen', hq_root='clips').\n"
        "An interrupted run goes on when started again.",
    )
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="a config, or a manifest.json to make again")
    parser.add_argument("source", metavar="IN", nargs="?", help="folder of clean clips (videos, folders of images)")
    parser.add_argument("target", metavar="OUT", nargs="?", help="folder to make")
    parser.add_argument("--check", metavar="FOLDER", help="compare the frames of a frozen folder with its manifest")
    parser.add_argument("--seed", type=int, help="of everything that is drawn (default: 0)")
    parser.add_argument("--max-frames", type=int, metavar="N", help="take only the first frames of every clip")
    parser.add_argument("--container", help="mkv (FFV1, the default) or png (folders of images)")
    parser.add_argument("--include", action="append", metavar="PATTERN", help="only clips whose name matches")
    parser.add_argument("--exclude", action="append", metavar="PATTERN", help="leave out clips whose name matches")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="override the recipe's values",
    )


def _add_shard(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = _command(
        commands,
        common,
        shard,
        "pack clips into WebDataset tar files to train from, or check such files",
        "examples:\n"
        "  vrestore shard clips/ shards/                       makes shards/shard-000000.tar, … and shards.json\n"
        "  vrestore shard clips/ shards/ --shard-size 256M --include 'city_*'\n"
        "  vrestore shard --check shards/                      are all shards as they were?\n\n"
        "Videos and frames go in as they are, each clip with a .json of its size, rate, frames, scene cuts and\n"
        "caption (the text file beside it). Train from them as from clips: train_dataloader.dataset.roots=shards/.\n"
        "An interrupted run goes on when started again.",
    )
    parser.add_argument("source", metavar="IN", nargs="?", help="folder of clips (videos, folders of images)")
    parser.add_argument("target", metavar="OUT", nargs="?", help="folder to make")
    parser.add_argument("--check", metavar="FOLDER", help="compare the shards of a folder with its shards.json")
    parser.add_argument(
        "--shard-size", type=_bytes, dest="shard_bytes", metavar="SIZE", help="e.g. 500M or 2G (default: 1G)"
    )
    parser.add_argument("--shard-clips", type=int, metavar="N", help="most clips of a shard")
    parser.add_argument(
        "--no-scenes",
        action="store_false",
        default=None,
        dest="scenes",
        help="do not look for scene cuts, for which every clip is decoded",
    )
    parser.add_argument("--index", metavar="FILE", help="an index of the clips, as datasets make it, with their cuts")
    parser.add_argument("--prefix", metavar="NAME", help="what the shards are called (default: shard)")
    parser.add_argument("--include", action="append", metavar="PATTERN", help="only clips whose name matches")
    parser.add_argument("--exclude", action="append", metavar="PATTERN", help="leave out clips whose name matches")


def _add_zoo(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = _command(
        commands,
        common,
        zoo,
        "list every restorer with its capabilities and known weights, or show one; download or verify weights",
        "examples:\n"
        "  vrestore zoo\n"
        "  vrestore zoo rife                    those whose name, method or summary holds the word\n"
        "  vrestore zoo basicvsr-reds4          licence, source, protocol and numbers\n"
        "  vrestore zoo --json --plugin my_restorer.py\n"
        "  vrestore zoo fetch realesrgan-x4plus span-x4\n"
        "  vrestore zoo fetch --all-open        weights whose licence allows any use, commercial use included\n"
        "  vrestore zoo verify                  compare the weight files on this machine with their SHA-256\n\n"
        "Weights are downloaded into $VRESTORE_CACHE (default: the cache folder of the user). An interrupted download\n"
        "is resumed. The exit status of verify is 2 if a file differs.",
    )
    parser.add_argument(
        "words",
        metavar="NAME",
        nargs="*",
        help="show this entry, or list those that hold the word; or: fetch NAME …, fetch --all-open, verify",
    )
    parser.add_argument("--json", action="store_true", help="as data instead of text")
    parser.add_argument("--all-open", action="store_true", help="of fetch: every entry whose licence allows any use")
    parser.add_argument("--offline", action="store_true", help="do not download")


def train(arguments: argparse.Namespace) -> int:
    from vrestore.config import load_config

    config = load_config(arguments.config, arguments.cfg_options, arguments.plugin)
    from vrestore.engine.train import train as run

    try:
        run(
            config,
            work_dir=arguments.work_dir,
            resume=arguments.resume,
            amp=arguments.amp,
            launcher=arguments.launcher,
        )
    except SystemExit as stop:  # a signal asked to stop; the checkpoint is written
        if getattr(stop, "message", None):
            print(f"vrestore: {stop.message}", file=sys.stderr)  # type: ignore[attr-defined]
        raise
    return 0


def test(arguments: argparse.Namespace) -> int:
    from vrestore.config import load_config

    config = load_config(arguments.config, arguments.cfg_options, arguments.plugin)
    methods = None
    if arguments.methods is not None:
        methods = _let_join(config, [name.strip() for name in arguments.methods.split(",") if name.strip()])
    from vrestore.evaluation.test import test as run

    return run(config, arguments.checkpoint, work_dir=arguments.work_dir, device=arguments.device, methods=methods)


def restore(arguments: argparse.Namespace) -> int:
    from vrestore.plugins import load_plugins

    load_plugins(arguments.plugin)
    from vrestore.inference.video import restore_video

    given = {name: value for name in RESTORE_OPTIONS if (value := getattr(arguments, name)) is not None}
    if arguments.config is not None:
        from vrestore.config import find_config

        given["model"] = str(find_config(arguments.config))
    elif arguments.model is not None:
        given["model"] = arguments.model
    print(restore_video(arguments.source, arguments.target, **given), file=sys.stderr)
    return 0


def freeze(arguments: argparse.Namespace) -> int:
    from vrestore.plugins import load_plugins

    places = [arguments.recipe, arguments.source, arguments.target]
    given = {name: getattr(arguments, name) for name in ("seed", "max_frames", "container", "include", "exclude")}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.check is not None:
        if any(places) or given or arguments.cfg_options:
            raise ConfigError("freeze --check FOLDER stands alone: it only reads")
        from vrestore.data.freeze import check_frozen

        manifest = check_frozen(arguments.check)
        print(f"{arguments.check}: all {len(manifest['clips'])} clips are as they were frozen", file=sys.stderr)
        return 0
    if not all(places):
        raise ConfigError("freeze needs RECIPE IN OUT, or --check FOLDER; 'vrestore freeze --help' shows examples")
    recipe = Path(arguments.recipe)
    if (recipe / "manifest.json").is_file() or (recipe.suffix == ".json" and _is_manifest(recipe)):
        if given or arguments.cfg_options:
            raise ConfigError(f"{recipe} holds its own recipe and settings; options have no place beside it")
        load_plugins(arguments.plugin)
        from vrestore.data.freeze import refreeze

        manifest = refreeze(recipe, arguments.source, arguments.target)
        told = "again, bit for bit"
    else:
        from vrestore.config import find_recipe, load_config

        config = load_config(arguments.recipe, arguments.cfg_options, arguments.plugin)
        from vrestore.data.freeze import freeze as run

        name = Path(arguments.recipe).with_suffix("").as_posix()
        manifest = run(find_recipe(config, name), arguments.source, arguments.target, recipe_name=name, **given)
        told = f"by {name}, seed {manifest['seed']}"
    print(f"{arguments.target}: {len(manifest['clips'])} clips frozen {told}", file=sys.stderr)
    return 0


def _is_manifest(path: Path) -> bool:
    import json

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and str(content.get("format", "")).startswith("vrestore-frozen")


def shard(arguments: argparse.Namespace) -> int:
    from vrestore.plugins import load_plugins

    load_plugins(arguments.plugin)
    options = ("shard_bytes", "shard_clips", "scenes", "index", "prefix", "include", "exclude")
    given = {name: value for name in options if (value := getattr(arguments, name)) is not None}
    if arguments.check is not None:
        if arguments.source or given:
            raise ConfigError("shard --check FOLDER stands alone: it only reads")
        from vrestore.data.shard import check_shards

        manifest = check_shards(arguments.check)
        print(f"{arguments.check}: all {len(manifest['shards'])} shards are as they were written", file=sys.stderr)
        return 0
    if not arguments.source or not arguments.target:
        raise ConfigError("shard needs IN OUT, or --check FOLDER; 'vrestore shard --help' shows examples")
    from vrestore.data.clips import some
    from vrestore.data.shard import shard as run

    manifest = run(arguments.source, arguments.target, **given)
    n_shards, n_bytes, skipped = len(manifest["shards"]), manifest["bytes"], manifest["skipped"]
    print(
        f"{arguments.target}: {manifest['clips']} clips, {manifest['frames']} frames, in {n_shards} shards of "
        f"{n_bytes / 2**20:.1f} MiB" + (f"; left out {len(skipped)}: {some(skipped)}" if skipped else ""),
        file=sys.stderr,
    )
    return 0


def zoo(arguments: argparse.Namespace) -> int:
    command, *names = arguments.words or [None]
    if arguments.all_open and command != "fetch":
        raise ConfigError("--all-open belongs to 'vrestore zoo fetch'")
    if command == "fetch":
        return _fetch_weights(names, arguments.all_open, arguments.offline)
    if command == "verify" and not names:
        return _verify_weights()
    if names:
        raise ConfigError(f"zoo takes one NAME, 'fetch NAME …' or 'verify', got {' '.join(arguments.words)}")
    from vrestore.plugins import load_plugins

    load_plugins(arguments.plugin)
    from vrestore.checkpoints.download import offline_mode
    from vrestore.checkpoints.listing import recorded_cards, select
    from vrestore.checkpoints.show import card_text, list_text

    with offline_mode(arguments.offline):
        found = None if arguments.plugin else recorded_cards()
        if found is None:  # plug-ins may bring restorers: only building them shows what they can do
            from vrestore.checkpoints.cards import cards

            found = cards()
        shown = select(found, command)
    if arguments.json:
        import json

        print(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        print(card_text(shown) if isinstance(shown, dict) else list_text(shown))
    return 0


def _fetch_weights(names: Sequence[str], all_open: bool, offline: bool) -> int:
    if bool(names) == all_open:
        raise ConfigError("zoo fetch takes names of the zoo or --all-open; 'vrestore zoo' lists the names")
    from vrestore.checkpoints.download import offline_mode
    from vrestore.checkpoints.fetching import entries_named, fetch_entries, open_entries

    entries = open_entries() if all_open else entries_named(names)
    failed = []
    with offline_mode(offline):
        for result in fetch_entries(entries):
            if result.error is None:
                print(f"{result.name}: {result.path or 'needs no weights'}", flush=True)
                continue
            print(f"{result.name}: {result.error}", file=sys.stderr)
            failed.append(result.name)
    if failed:
        raise WeightsError(f"weights of {len(failed)} of {len(entries)} entries were not fetched: {', '.join(failed)}")
    return 0


def _verify_weights() -> int:
    from vrestore.checkpoints.fetching import verify_files

    results = list(verify_files())
    for result in results:
        print(f"{result.state}: {result.path}")
    wrong = [result.error for result in results if result.state == "mismatch"]
    if wrong:
        raise WeightsError(f"{len(wrong)} of {len(results)} weight files differ: {'; '.join(map(str, wrong))}")
    return 0


def _let_join(config: Any, names: Sequence[str]) -> list[str]:
    """Add those of `names` that a benchmark config lacks to its methods: restorers of the zoo, and configs by path.

    Returns:
        What the methods are called: a config is called as its file, with a word where its weights are random.
    """
    from vrestore.checkpoints.index import zoo as entries
    from vrestore.config import SUFFIXES, load_config

    methods = config.get("methods")
    if not isinstance(methods, (list, tuple)):
        raise ConfigError("--methods needs a benchmark config with methods=[…]")
    own = {m if isinstance(m, str) else m.get("name") or m.get("model") for m in methods}
    called: list[str] = []
    joining: list[str | dict[str, str]] = []
    for name in names:
        if name not in own and name.endswith(SUFFIXES):
            untrained = (load_config(name).get("model") or {}).get("untrained")
            called.append(f"{Path(name).stem} (untrained)" if untrained else Path(name).stem)
            joining.append({"name": called[-1], "model": name})
            continue
        called.append(name)
        if name not in own and name in entries() and not entries()[name].network:
            joining.append(name)
    config["methods"] = [*methods, *joining]
    return called


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is no size: write height x width in pixels, e.g. 1080x1920")
    return int(height), int(width)


def _bytes(text: str) -> int:
    number, factor = text.strip(), 1
    for power, letter in enumerate("KMGT", 1):
        for ending in (f"{letter}IB", f"{letter}B", letter):
            if number.upper().endswith(ending):
                number, factor = number[: -len(ending)], 1024**power
                break
    try:
        size = float(number) * factor
        if not 1 <= size < 2**63:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no size: write e.g. 500M, 2G, or a number of bytes") from None
    return int(size)


def _rate(text: str) -> Any:
    from fractions import Fraction

    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"'{text}' is no frame rate: write e.g. 60, 29.97 or 24000/1001") from None


@contextmanager
def _speaking_plainly(debug: bool) -> Iterator[None]:
    """Show on stderr what vrestore logs (terms of weights, …), and warnings without their place in the code."""
    logger, handler = logging.getLogger("vrestore"), logging.StreamHandler()
    before = (logger.level, logger.propagate, warnings.formatwarning)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not debug:
        warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate, warnings.formatwarning = before[1:]
