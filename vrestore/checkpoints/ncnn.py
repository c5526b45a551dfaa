"""The weight format of ncnn: a network description (``.param``) with its weights (``.bin``)."""

from __future__ import annotations

import hashlib
import math
import os
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import save as serialise
from torch import Tensor

from vrestore.checkpoints.download import CACHE_VARIABLE, cache_folder
from vrestore.checkpoints.files import StateDict, sha256_of
from vrestore.disk import write_under
from vrestore.errors import WeightsError

MAGIC = "7767517"
TAG_FLOAT16 = 0x01306B47
TAG_FLOAT32 = 0
TAG_NAMES = {0x000D4B38: "int8", 0x0002C056: "float32 with scales"}
# Array parameters are written as -23300 - id.
ARRAY_BASE = -23300

MAX_PARAM_BYTES = 16 << 20
MAX_LAYERS = 100_000
MAX_VALUE = 2**31 - 1

# Layer types that store nothing in the .bin file, whatever their parameters; Padding has its own rule.
WEIGHTLESS = frozenset(
    # activations
    ("BNLL", "ELU", "GELU", "HardSigmoid", "HardSwish", "Mish", "ReLU", "SELU", "Sigmoid", "Softmax", "Softplus")
    + ("Swish", "TanH", "Threshold")
    # arithmetic
    + (
        "AbsVal",
        "ArgMax",
        "BinaryOp",
        "Cast",
        "Clip",
        "Eltwise",
        "Exp",
        "Log",
        "MatMul",
        "Power",
        "Reduction",
        "UnaryOp",
    )
    # layout
    + ("Concat", "Crop", "DeepCopy", "Dropout", "ExpandDims", "Flatten", "Input", "Noop", "Packing", "Permute")
    + ("PixelShuffle", "Reorg", "Reshape", "ShuffleChannel", "Slice", "Split", "Squeeze")
    # resampling
    + ("GridSample", "Interp", "Pooling")
)
CONVOLUTIONS = frozenset(("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise"))

Value = int | float | list[float]


@dataclass(frozen=True)
class Layer:
    """One layer of a `.param` file.

    Attributes:
        type: the layer type, as ncnn calls it.
        name: its name.
        inputs: names of the blobs that it reads.
        outputs: names of the blobs that it writes.
        params: its parameters by id.
        weight: its weights, float16 or float32: (out, in / groups, kh, kw) of a convolution, (out, in) of an inner
            product, (slopes,) of a PReLU, (d, c, h, w) without absent axes of constants; None where it has none.
        bias: its biases (out,), float32; None where it has none.
    """

    type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Mapping[int, Value]
    weight: Tensor | None = None
    bias: Tensor | None = None

    def integer(self, key: int, default: int = 0) -> int:
        """A parameter that must be an integer in [0, 2^31 - 1].

        Raises:
            WeightsError: it is not.
        """
        value = self.params.get(key, default)
        if not isinstance(value, int) or not 0 <= value <= MAX_VALUE:
            raise WeightsError(f"layer '{self.name}' ({self.type}): parameter {key} must be a size, got {value}")
        return value

    def number(self, key: int, default: float = 0.0) -> float:
        """A scalar parameter; NaN where the parameter is an array."""
        value = self.params.get(key, default)
        return math.nan if isinstance(value, list) else float(value)

    def numbers(self, key: int) -> list[float]:
        """An array parameter; empty where it is absent or a scalar."""
        value = self.params.get(key)
        return value if isinstance(value, list) else []


@dataclass(frozen=True)
class NcnnModel:
    """The layers of a network with their weights, in the order of the file."""

    layers: Sequence[Layer]
    _producers: dict[str, Layer] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._producers.update((blob, layer) for layer in self.layers for blob in layer.outputs)

    def weighted(self, *types: str) -> list[Layer]:
        """The layers of some types, or of all types, that have weights; constants (MemoryData) are not included."""
        return [
            layer
            for layer in self.layers
            if layer.weight is not None and layer.type != "MemoryData" and (not types or layer.type in types)
        ]

    def of_type(self, layer_type: str) -> list[Layer]:
        """The layers of one type."""
        return [layer for layer in self.layers if layer.type == layer_type]

    def counts(self) -> Counter[str]:
        """Number of layers of each type, without Split, which copies blobs."""
        return Counter(layer.type for layer in self.layers if layer.type != "Split")

    def source(self, blob: str) -> Layer:
        """The layer that computes a blob, through any Split."""
        layer = self._producers[blob]
        while layer.type == "Split":
            layer = self._producers[layer.inputs[0]]
        return layer

    def leaky_slopes(self, layers: Sequence[Layer]) -> list[float]:
        """Negative slope of the ReLU of each of these layers, fused or behind it; 1 where there is no activation.

        Another fused activation gives NaN.
        """
        behind = {id(self.source(layer.inputs[0])): layer.number(0) for layer in self.of_type("ReLU") if layer.inputs}
        return [_fused_slope(layer, behind.get(id(layer), 1.0)) for layer in layers]


class NcnnMismatch(Exception):
    """A network is not of the architecture that a mapping is for; the message says why."""


Mapper = Callable[[NcnnModel], StateDict]
MAPPINGS: dict[str, Mapper] = {}


def register_ncnn_mapping(architecture: str) -> Callable[[Mapper], Mapper]:
    """Decorator that registers a function from an ncnn network to a state dict under the architecture's official names.

    The function raises `NcnnMismatch` where the network has another structure.
    """

    def register(mapper: Mapper) -> Mapper:
        MAPPINGS[architecture] = mapper
        return mapper

    return register


def is_ncnn(path: str | os.PathLike) -> bool:
    """Whether a file is read as ncnn: a `.param` file, or a `.bin` file that has a `.param` file beside it."""
    path = Path(path)
    return path.suffix == ".param" or (path.suffix == ".bin" and path.with_suffix(".param").is_file())


def weights_file(path: str | os.PathLike) -> Path:
    """The file that holds the weights: the `.bin` of an ncnn pair, any other file itself."""
    return Path(path).with_suffix(".bin") if is_ncnn(path) else Path(path)


def load_ncnn(path: str | os.PathLike) -> StateDict:
    """Read an ncnn network into the state dict that the architecture's official release would have.

    Args:
        path: the `.param` or the `.bin` file; the other one must be beside it, under the same stem.

    Returns:
        Weights in the precision of the file, on the CPU.

    Raises:
        WeightsError: a file is missing, malformed, truncated, too long or quantised, or the network fits no supported
            architecture.
    """
    return map_ncnn(read_ncnn(path), str(path))[1]


def map_ncnn(model: NcnnModel, source: str) -> tuple[str, StateDict]:
    """The architecture of an ncnn network and its weights under the architecture's official names.

    The structure decides: number, order, types and shapes of the layers, and the parameters of those without weights.

    Raises:
        WeightsError: no supported architecture fits; the message says why for each.
    """
    import vrestore.checkpoints.families  # noqa: F401  (each family registers its mappings)

    reasons = []
    for name, mapper in MAPPINGS.items():
        try:
            return name, mapper(model)
        except NcnnMismatch as mismatch:
            reasons.append(f"{name}: {mismatch}")
    raise WeightsError(f"{source} fits no architecture supported in the ncnn format ({'; '.join(reasons)})")


def cached_safetensors(path: str | os.PathLike, licence: str | None = None) -> Path:
    """Convert an ncnn network to safetensors in the cache, once for each pair of files.

    Args:
        path: the `.param` or the `.bin` file.
        licence: licence of the weights, written into the metadata.

    Returns:
        The safetensors file, in the precision of the source. Its metadata are ``format`` ('ncnn fp16' or 'ncnn fp32'),
        ``origin`` (file name), ``sha256`` (of the `.bin` file), ``architecture`` and, if given, ``licence``.

    Raises:
        WeightsError: as `load_ncnn`, or the cache cannot be written.
    """
    param, weights = _pair(path)
    try:
        digest = sha256_of(weights)
        key = hashlib.sha256(f"{digest} {sha256_of(param)} {licence or ''}".encode()).hexdigest()[:16]
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror or error}") from error
    target = cache_folder() / "converted" / key / f"{param.stem}.safetensors"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if not target.is_file():
                architecture, state = map_ncnn(read_ncnn(param), str(param))
                half = any(value.dtype == torch.float16 for value in state.values())
                metadata = {"format": f"ncnn fp{16 if half else 32}", "origin": weights.name, "sha256": digest}
                metadata |= {"architecture": architecture} | ({"licence": licence} if licence else {})
                content = serialise(state, metadata)
                temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
                write_under(temporary, target, lambda file: file.write(content))
    except OSError as error:
        raise WeightsError(f"could not write {target}: {error.strerror or error}; set ${CACHE_VARIABLE}") from error
    return target


def read_ncnn(path: str | os.PathLike) -> NcnnModel:
    """Read the layers and the weights of an ncnn network.

    Args:
        path: the `.param` or the `.bin` file.

    Raises:
        WeightsError: as `load_ncnn`, apart from the architecture.
    """
    param, weights = _pair(path)
    try:
        if param.stat().st_size > MAX_PARAM_BYTES:
            raise WeightsError(f"{param} has {param.stat().st_size} bytes; a .param file has {MAX_PARAM_BYTES} at most")
        text = param.read_bytes()
        layers = parse_param(text, str(param))
        content = np.memmap(weights, np.uint8, "r") if weights.stat().st_size else np.empty(0, np.uint8)
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror or error}") from error
    reader = _BinReader(content, str(weights))
    try:
        loaded = [_with_weights(layer, reader) for layer in layers]
    except WeightsError as error:
        raise error if str(weights) in str(error) else WeightsError(f"{param}: {error}") from None
    reader.require_end()
    return NcnnModel(loaded)


def parse_param(text: bytes, source: str) -> list[Layer]:
    """Parse the content of a `.param` file.

    Raises:
        WeightsError: it is malformed; the message names the line.
    """
    try:
        lines = text.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise WeightsError(f"{source} is no .param file: it is not text (UTF-8)") from None
    if not lines or lines[0].strip() != MAGIC:
        found = lines[0].strip()[:40] if lines else ""
        raise WeightsError(f"{source} is no .param file: its first line must be {MAGIC}, got '{found}'")
    try:
        layer_count, blob_count = (int(word) for word in lines[1].split())
    except (IndexError, ValueError):
        raise WeightsError(f"{source}, line 2: must hold the number of layers and of blobs") from None
    rows = [(number, line.split()) for number, line in enumerate(lines[2:], 3) if line.strip()]
    if layer_count != len(rows) or not 0 < layer_count <= MAX_LAYERS:
        raise WeightsError(f"{source} declares {layer_count} layers and holds {len(rows)} (at most {MAX_LAYERS})")
    layers, known = [], set[str]()
    for number, words in rows:
        layer = _parse_layer(words, f"{source}, line {number}")
        absent = [blob for blob in layer.inputs if blob not in known]
        if absent:
            raise WeightsError(f"{source}, line {number}: input '{absent[0]}' is not the output of an earlier layer")
        for blob in layer.outputs:
            if blob in known:
                raise WeightsError(f"{source}, line {number}: output '{blob}' exists already")
            known.add(blob)
        layers.append(layer)
    if blob_count != len(known):
        raise WeightsError(f"{source} declares {blob_count} blobs and holds {len(known)}")
    return layers


def require_plain_convolutions(model: NcnnModel) -> list[Tensor]:
    """Weights of the Convolution layers, which must have biases, stride 1, no dilation and padding that keeps the size.

    Raises:
        NcnnMismatch: one does not, or there is none.
    """
    weights = []
    for layer in model.of_type("Convolution"):
        assert layer.weight is not None
        height, width = layer.weight.shape[2:]
        strides_and_dilations = [layer.integer(key, 1) for key in (2, 3)]
        strides_and_dilations += [layer.integer(12, layer.integer(2, 1)), layer.integer(13, layer.integer(3, 1))]
        left = layer.integer(4)
        top = layer.integer(14, left)
        sides = (left, layer.integer(15, left), top, layer.integer(16, top))
        plain = strides_and_dilations == [1] * 4 and layer.number(18) == 0 and layer.bias is not None
        if not plain or sides != (width // 2, width // 2, height // 2, height // 2):
            raise NcnnMismatch(f"convolution '{layer.name}' has a stride, a dilation, other padding or no bias")
        weights.append(layer.weight)
    if not weights:
        raise NcnnMismatch("it has no convolution")
    return weights


def require_counts(model: NcnnModel, expected: Mapping[str, int], optional: Sequence[str] = ()) -> None:
    """Raise NcnnMismatch unless the network has these numbers of layers of each type, Split and `optional` aside."""
    found = {kind: number for kind, number in model.counts().items() if kind not in optional}
    if found != dict(expected):
        kinds = sorted(kind for kind in found.keys() | expected.keys() if found.get(kind, 0) != expected.get(kind, 0))
        differences = [f"{found.get(kind, 0)} {kind} instead of {expected.get(kind, 0)}" for kind in kinds]
        raise NcnnMismatch(f"it has {', '.join(differences)}")


def require_additions(model: NcnnModel) -> None:
    """Raise NcnnMismatch unless every BinaryOp adds two blobs and every Eltwise computes 0.2 a + b."""
    for layer in model.of_type("BinaryOp"):
        if layer.integer(0) or layer.integer(1) or len(layer.inputs) != 2:
            raise NcnnMismatch(f"'{layer.name}' does not add two blobs")
    for layer in model.of_type("Eltwise"):
        coefficients = layer.numbers(1)
        if layer.integer(0) != 1 or len(coefficients) != 2 or not np.allclose(coefficients, (0.2, 1.0)):
            raise NcnnMismatch(f"'{layer.name}' does not add a residual scaled by 0.2")


def require_scale(layers: Sequence[Layer], scale: float) -> None:
    """Raise NcnnMismatch unless these Interp layers resize by nearest neighbour, by this factor."""
    for layer in layers:
        if (layer.integer(0), layer.number(1, 1), layer.number(2, 1)) != (1, scale, scale):
            raise NcnnMismatch(f"'{layer.name}' does not resize by nearest neighbour and the factor {scale}")


def state_dict_in_order(model: NcnnModel, names: Sequence[str]) -> StateDict:
    """Weights and biases of the layers that have some, under these names, one a layer."""
    state: StateDict = {}
    for name, layer in zip(names, model.weighted(), strict=True):
        assert layer.weight is not None
        state[f"{name}.weight"] = layer.weight
        if layer.bias is not None:
            state[f"{name}.bias"] = layer.bias
    return state


def _pair(path: str | os.PathLike) -> tuple[Path, Path]:
    param, weights = Path(path).with_suffix(".param"), Path(path).with_suffix(".bin")
    if not param.is_file():
        raise WeightsError(f"weights {param} do not exist")
    if not weights.is_file():
        raise WeightsError(f"{param} describes a network whose weights {weights} do not exist; put both in one folder")
    return param, weights


def _parse_layer(words: list[str], where: str) -> Layer:
    try:
        layer_type, name, input_count, output_count = words[0], words[1], int(words[2]), int(words[3])
    except (IndexError, ValueError):
        raise WeightsError(f"{where}: must begin with type, name, number of inputs and number of outputs") from None
    first_output = 4 + input_count
    first_param = first_output + output_count
    if min(input_count, output_count) < 0 or first_param > len(words):
        raise WeightsError(f"{where}: declares {input_count} inputs and {output_count} outputs, and holds fewer names")
    params = dict(_parse_parameter(word, where) for word in words[first_param:])
    if layer_type == "Split" and input_count != 1:
        raise WeightsError(f"{where}: a Split has 1 input, got {input_count}")
    return Layer(layer_type, name, tuple(words[4:first_output]), tuple(words[first_output:first_param]), params)


def _parse_parameter(word: str, where: str) -> tuple[int, Value]:
    key, equals, text = word.partition("=")
    try:
        if not equals:
            raise ValueError
        number = int(key)
        if number > ARRAY_BASE:
            return number, _scalar(text)
        length, *items = text.split(",")
        if int(length) != len(items):
            raise ValueError
        return ARRAY_BASE - number, [float(item) for item in items]
    except ValueError:
        raise WeightsError(f"{where}: '{word[:60]}' is no parameter of the form id=value") from None


def _scalar(text: str) -> int | float:
    return float(text) if any(mark in text for mark in ".eEnN") else int(text)


def _fused_slope(layer: Layer, behind: float) -> float:
    kind = layer.integer(9)
    if kind == 0:
        return behind
    slopes = layer.numbers(10)
    return 0.0 if kind == 1 else slopes[0] if kind == 2 and len(slopes) == 1 else math.nan


class _BinReader:
    """Reads arrays from a `.bin` file, in order, and checks every length against the file before it allocates."""

    def __init__(self, content: np.ndarray, source: str) -> None:
        self.content, self.source, self.offset = content, source, 0

    def raw(self, shape: Sequence[int], layer: Layer, dtype: str = "<f4") -> Tensor:
        """An array without a tag, padded to a multiple of 4 bytes."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        end = self.offset + -(-size // 4) * 4
        if end > len(self.content):
            raise WeightsError(
                f"{self.source} is truncated: layer '{layer.name}' ({layer.type}) needs it to have at least {end} "
                f"bytes, found {len(self.content)}"
            )
        values = np.frombuffer(self.content[self.offset : self.offset + size].tobytes(), dtype)
        self.offset = end
        return torch.from_numpy(values.astype(dtype[1:], copy=True).reshape(shape))

    def tagged(self, shape: Sequence[int], layer: Layer) -> Tensor:
        """An array whose precision is in the 4 bytes before it."""
        tag = int(self.raw((1,), layer, "<i4")) & 0xFFFFFFFF
        if tag not in (TAG_FLOAT16, TAG_FLOAT32):
            raise WeightsError(
                f"{self.source}: the weights of layer '{layer.name}' ({layer.type}) have the tag 0x{tag:08X} "
                f"({TAG_NAMES.get(tag, 'unknown, or quantised by a table')}); supported are float16 "
                f"(0x{TAG_FLOAT16:08X}) and float32 (0)"
            )
        return self.raw(shape, layer, "<f2" if tag == TAG_FLOAT16 else "<f4")

    def require_end(self) -> None:
        """Raise WeightsError unless all of the file was read."""
        if self.offset != len(self.content):
            raise WeightsError(
                f"{self.source} does not belong to its .param file: expected {self.offset} bytes, found "
                f"{len(self.content)}"
            )


def _with_weights(layer: Layer, reader: _BinReader) -> Layer:
    """The layer with what the `.bin` file holds for it."""
    weight, bias = None, None
    if layer.type in CONVOLUTIONS:
        _refuse_options(layer, {8: "int8 scales", 19: "weights as an input", 28: "weights as an input"})
        weight = reader.tagged(_convolution_shape(layer), layer)
        bias = reader.raw((layer.integer(0),), layer) if layer.integer(5) else None
    elif layer.type == "InnerProduct":
        _refuse_options(layer, {8: "int8 scales"})
        weight = reader.tagged(_matrix_shape(layer), layer)
        bias = reader.raw((layer.integer(0),), layer) if layer.integer(1) else None
    elif layer.type == "PReLU":
        weight = reader.raw((layer.integer(0),), layer)
    elif layer.type == "MemoryData":
        shape = [size for size in (layer.integer(key) for key in (11, 2, 1, 0)) if size]
        if not shape:
            raise WeightsError(f"layer '{layer.name}' (MemoryData) declares no size")
        weight = reader.raw(shape, layer) if layer.integer(21, 1) else reader.tagged(shape, layer)
    elif layer.type == "Padding":
        _refuse_options(layer, {6: "a value for each channel"})
    elif layer.type not in WEIGHTLESS:
        raise WeightsError(
            f"layer '{layer.name}' has the type {layer.type}, which is not supported and may have weights"
        )
    if weight is None:
        return layer
    return Layer(layer.type, layer.name, layer.inputs, layer.outputs, layer.params, weight, bias)


def _refuse_options(layer: Layer, options: Mapping[int, str]) -> None:
    for key, meaning in options.items():
        if layer.integer(key):
            raise WeightsError(f"layer '{layer.name}' ({layer.type}) has {meaning} (parameter {key}): not supported")


def _convolution_shape(layer: Layer) -> tuple[int, int, int, int]:
    out, width = layer.integer(0), layer.integer(1)
    height, size = layer.integer(11, width), layer.integer(6)
    return out, _quotient(size, out * height * width, layer), height, width


def _matrix_shape(layer: Layer) -> tuple[int, int]:
    return layer.integer(0), _quotient(layer.integer(2), layer.integer(0), layer)


def _quotient(size: int, divisor: int, layer: Layer) -> int:
    if not size or not divisor or size % divisor:
        raise WeightsError(
            f"layer '{layer.name}' ({layer.type}) declares {size} weights, which is no multiple of {divisor}, the "
            f"product of its other sizes"
        )
    return size // divisor
