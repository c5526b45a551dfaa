"""The plan of a benchmark run: a config's methods, benchmarks and output options, read and built before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from vrestore.config import check_keys
from vrestore.errors import ConfigError
from vrestore.evaluation.methods import Method
from vrestore.evaluation.metric import Metric
from vrestore.evaluation.protocol import to_plain
from vrestore.registry import DATASETS, METRICS
from vrestore.restorers.request import Request

BENCHMARK_KEYS = ("name", "dataset", "request", "metrics", "methods")
# What a benchmark config may hold beside its own keys; a config's own helpers begin with an underscore.
CONFIG_KEYS = ("methods", "benchmarks", "output", "work_dir", "custom_imports", "default_scope", "device")


@dataclass(frozen=True)
class Output:
    """What a run leaves beside its report.

    Attributes:
        save_frames: every output as a folder of PNG frames.
        comparison: a picture a clip with the crops of all methods side by side.
        resume: take finished cells of an earlier run as they are.
    """

    save_frames: bool = False
    comparison: bool = True
    resume: bool = True


@dataclass
class Benchmark:
    """Clips with the metrics that judge them.

    Attributes:
        name: what the report calls it.
        dataset: ``len(dataset)``, ``dataset[i] -> dict(clip, lq, hq, record, fps)``.
        request: fields of `Request` for every method.
        metrics: built.
        methods: names of the methods that run on it; None is all.
        clips: names by index, as they become known.
        frames: degraded frames by clip, as they become known.
    """

    name: str
    dataset: Any
    request: dict[str, Any]
    metrics: list[Metric]
    methods: list[str] | None = None
    clips: dict[int, str] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)

    @property
    def degradation(self) -> str | None:
        """The protocol of the degraded clips, for example `BIx4`."""
        name = getattr(self.dataset, "degradation_name", None)
        return None if name is None else str(name)

    @property
    def set_name(self) -> str | None:
        """What publications call the clips, for example `Vid4`."""
        name = getattr(self.dataset, "name", None)
        return None if name is None else str(name)

    def protocol_of(self, metric: Metric) -> dict[str, Any]:
        """A metric's protocol on these clips: it says so when not all frames of each clip are taken."""
        limit = getattr(self.dataset, "max_frames", None)
        frames = f"first {limit} of each clip" if limit else getattr(self.dataset, "frames_protocol", None)
        return {**to_plain(metric.protocol), **({"frames": frames} if frames else {})}

    def index_of(self, clip: str) -> int:
        return next(index for index, name in self.clips.items() if name == clip)


@dataclass
class Plan:
    """What is to run, built and checked: what is wrong with a config shows before the first clip is read."""

    methods: list[Method]
    benchmarks: list[Benchmark]
    output: Output

    @classmethod
    def from_config(cls, config: Mapping[str, Any], only: Sequence[str] | None = None) -> Plan:
        """Read `methods`, `benchmarks` and `output`.

        Args:
            config: ``methods=[dict(name='bicubic', model='bicubic', weights=None, request=dict(…)), …]``,
                ``benchmarks=[dict(name='…', dataset=dict(type=…), request=dict(scale=4), metrics=[dict(type=…)])]``,
                with ``methods=['bicubic', …]`` in a benchmark that not all methods run on,
                ``output=dict(…)`` with the fields of `Output`.
            only: names of the methods to keep; None keeps all.

        Raises:
            ConfigError, RegistryError, DataError: what is wrong, and what would be right.
        """
        check_keys((k for k in config if not str(k).startswith("_")), CONFIG_KEYS, "a benchmark config")
        methods = [Method.from_config(entry, f"methods[{i}]") for i, entry in enumerate(_entries(config, "methods"))]
        _refuse_doubles([method.name for method in methods], "methods")
        known = [method.name for method in methods]
        if only is not None:
            for name in only:
                if name not in known:
                    raise ConfigError(f"no method is called '{name}'; the config has {', '.join(known)}")
            methods = [method for method in methods if method.name in only]
        options = dict(config.get("output") or {})
        check_keys(options, [f.name for f in fields(Output)], "output")
        benchmarks = [_benchmark(entry, i, known) for i, entry in enumerate(_entries(config, "benchmarks"))]
        _refuse_doubles([benchmark.name for benchmark in benchmarks], "benchmarks")
        return cls(methods, benchmarks, Output(**options))

    def benchmarks_of(self, method: Method) -> list[Benchmark]:
        """The benchmarks that a method runs on."""
        return [b for b in self.benchmarks if b.methods is None or method.name in b.methods]

    @property
    def cell_count(self) -> int:
        return sum(len(b.dataset) for method in self.methods for b in self.benchmarks_of(method))


def build_metrics(config: Any, where: str) -> list[Metric]:
    """Metrics from a config, a list of them or an evaluator's config; all of them must be vrestore metrics.

    Raises:
        ConfigError: there are none, one is no `Metric`, or two would share a column.
    """
    if isinstance(config, Mapping) and config.get("type") == "Evaluator":
        config = config.get("metrics")
    entries = [config] if isinstance(config, Mapping) else list(config or [])
    if not entries:
        raise ConfigError(f"{where} needs metrics, for example [dict(type='PSNR', convert_to='Y')]")
    metrics = [entry if isinstance(entry, Metric) else METRICS.build(dict(entry)) for entry in entries]
    for metric in metrics:
        if not isinstance(metric, Metric):
            raise ConfigError(f"{where}: {type(metric).__name__} is no vrestore Metric (score a clip, name, protocol)")
    _refuse_doubles([metric.name for metric in metrics], where)
    return metrics


def build_dataset(config: Any, where: str) -> Any:
    """A dataset from its config, or one that is built already.

    Raises:
        ConfigError: it is neither, or it is empty.
    """
    dataset = DATASETS.build(dict(config)) if isinstance(config, Mapping) else config
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise ConfigError(f"{where} must be a dataset's config dict(type='…', …), got {config!r}")
    if len(dataset) == 0:
        raise ConfigError(f"{where} holds no clip")
    return dataset


def _benchmark(entry: Any, index: int, known: Sequence[str]) -> Benchmark:
    where = f"benchmarks[{index}]"
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where} must be dict(name='…', dataset=dict(…), metrics=[…]), got {entry!r}")
    check_keys(entry, BENCHMARK_KEYS, where)
    metrics = build_metrics(entry.get("metrics"), f"{where}.metrics")
    request = dict(entry.get("request") or {})
    check_keys(request, Request.names(), f"{where}.request")
    Request(**request)
    dataset = build_dataset(entry.get("dataset"), f"{where}.dataset")
    name = entry.get("name") or getattr(dataset, "name", None) or type(dataset).__name__
    methods = entry.get("methods")
    if methods is not None:
        check_keys(methods, known, f"{where}.methods")
    return Benchmark(str(name), dataset, request, metrics, None if methods is None else list(methods))


def _entries(config: Mapping[str, Any], key: str) -> list[Any]:
    entries = config.get(key)
    if not isinstance(entries, (list, tuple)) or not entries:
        raise ConfigError(f"a benchmark config needs {key}=[…] with at least one entry, got {entries!r}")
    return list(entries)


def _refuse_doubles(names: list[str], where: str) -> None:
    doubles = [name for name, count in Counter(names).items() if count > 1]
    if doubles:
        raise ConfigError(f"{where}: '{doubles[0]}' is there more than once; give each a name of its own")
