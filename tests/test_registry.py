"""Registries: what they say on a miss, on a taken name and on wrong arguments; how they hang on MMEngine's roots."""

import inspect

import mmengine.registry as roots
import pytest
import torch
from mmengine.registry import DefaultScope

import vrestore.registry as page
from vrestore.errors import ConfigError, RegistryError
from vrestore.registry import BACKBONES, LOSSES, MODELS, Registry, all_registries

NAMES = (
    *("MODELS", "BACKBONES", "ADAPTERS", "AUTOENCODERS", "SCHEDULES", "SAMPLERS", "DEGRADATIONS", "TRANSFORMS"),
    *("DATASETS", "LOSSES", "METRICS", "HOOKS", "DATA_SAMPLERS", "LOOPS", "OPTIM_WRAPPERS", "RUNNERS"),
)


@pytest.fixture
def toys():
    """A registry of its own, so that no test leaves anything in the real ones."""
    registry = Registry("TOYS", scope="vrestore")

    @registry.register_module()
    class Ball:
        def __init__(self, colour, size=1):
            self.colour, self.size = colour, size

    @registry.register_module()
    class Bat:
        def __init__(self):
            pass

    return registry


@pytest.fixture
def in_vrestore_scope():
    with DefaultScope.overwrite_default_scope("vrestore"):
        yield


@pytest.mark.parametrize("name", NAMES)
def test_every_registry_is_on_the_page(name):
    assert getattr(page, name) in all_registries()
    assert getattr(page, name).name == name


def test_every_registry_imports_its_folder():
    for registry in all_registries():
        registry.import_from_location()
    assert {"RegressionRestorer", "ResampleRestorer"} <= MODELS.module_dict.keys()
    assert {"BasicVSR", "SPyNet"} <= BACKBONES.module_dict.keys()


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(roots, name)])
def test_children_hang_on_the_roots_of_mmengine(name):
    root, child = getattr(roots, name), getattr(page, name)
    assert root.children["vrestore"] is child
    assert child.parent is root


def test_entries_of_mmengine_resolve_too():
    assert page.HOOKS.get("CheckpointHook") is not None
    assert page.HOOKS.get("mmengine.EMAHook") is roots.HOOKS.module_dict["EMAHook"]


def test_default_scope_lets_the_roots_find_our_entries(in_vrestore_scope):
    built = roots.MODELS.build({"type": "ResampleRestorer", "spatial": "nearest"})
    assert type(built).__module__ == "vrestore.restorers.resample"


def test_our_registries_build_under_a_foreign_default_scope():
    with DefaultScope.overwrite_default_scope("mmengine"):
        built = MODELS.build({"type": "RegressionRestorer", "backbone": {"type": "SPyNet", "num_levels": 2}})
        assert DefaultScope.get_current_instance().scope_name == "mmengine"
    assert type(built.backbone).__name__ == "SPyNet"


def test_build(toys):
    ball = toys.build({"type": "Ball", "colour": "red"})
    assert (ball.colour, ball.size) == ("red", 1)
    assert toys.build({"type": "Ball"}, default_args={"colour": "blue"}).colour == "blue"
    assert toys.build({"type": toys.get("Ball"), "colour": "green"}).colour == "green"


def test_miss_names_registry_closest_entries_and_the_import(toys):
    with pytest.raises(RegistryError) as caught:
        toys.build({"type": "Boll"})
    message = str(caught.value)
    assert message.startswith("'Boll' is not registered in TOYS; closest: Ball")
    assert "custom_imports" in message
    assert "--plugin your_module.py" in message
    assert "\n" not in message


def test_miss_ignores_case_and_lists_everything_when_nothing_is_close(toys):
    with pytest.raises(RegistryError, match="closest: Bat"):
        toys.build({"type": "bat"})
    with pytest.raises(RegistryError, match="it holds: Ball, Bat"):
        toys.build({"type": "Xylophone"})


def test_miss_says_where_else_the_name_is():
    with pytest.raises(RegistryError, match="'BasicVSR' is registered in BACKBONES instead"):
        MODELS.build({"type": "BasicVSR"})


def test_get_returns_none_on_a_miss_and_imports_no_module_of_that_name(toys):
    assert toys.get("Boll") is None
    assert toys.get("antigravity") is None
    assert "Boll" not in toys
    assert "Ball" in toys


def test_dotted_names_still_resolve_to_classes(toys):
    assert toys.get("torch.nn.Conv2d") is torch.nn.Conv2d
    assert toys.get("torch.nn") is None


def test_a_taken_name_names_both_places(toys):
    line = inspect.getsourcelines(toys.get("Ball"))[1]
    with pytest.raises(RegistryError) as caught:

        @toys.register_module(name="Ball")
        class Other:
            pass

    message = str(caught.value)
    assert message.startswith("'Ball' is already registered in TOYS by ")
    assert f"{__file__}:{line}" in message
    assert message.count(__file__) == 2
    assert "force=True" in message


def test_a_taken_second_name_is_noticed_too(toys):
    with pytest.raises(RegistryError, match="'Bat' is already registered"):

        @toys.register_module(name=["Racket", "Bat"])
        class Racket:
            pass


def test_force_replaces(toys):
    @toys.register_module(name="Ball", force=True)
    class Other:
        pass

    assert toys.get("Ball") is Other


def test_the_same_place_loaded_again_is_no_duplicate(toys):
    for _ in range(2):

        @toys.register_module()
        class Again:
            pass

    assert toys.get("Again") is Again


def test_unknown_argument(toys):
    with pytest.raises(ConfigError, match=r"Ball \(TOYS\) takes no argument 'color'; did you mean 'colour'\? .*size"):
        toys.build({"type": "Ball", "color": "red"})


def test_missing_argument(toys):
    with pytest.raises(ConfigError, match=r"Ball \(TOYS\) needs the argument 'colour'"):
        toys.build({"type": "Ball", "size": 2})


def test_argument_that_a_base_class_refuses(toys):
    @toys.register_module()
    class Beachball(toys.get("Ball")):
        def __init__(self, **settings):
            super().__init__("striped", **settings)

    with pytest.raises(ConfigError, match=r"Beachball \(TOYS\) takes no argument 'air': its base .*Ball refuses it"):
        toys.build({"type": "Beachball", "air": 1})


def test_type_errors_inside_a_constructor_stay_what_they_are(toys):
    @toys.register_module()
    class Broken:
        def __init__(self):
            dict(self, nonsense=1).missing()

    with pytest.raises(TypeError):
        toys.build({"type": "Broken"})


@pytest.mark.parametrize("cfg", [{"colour": "red"}, "Ball", None, 3])
def test_config_without_a_type(toys, cfg):
    with pytest.raises(ConfigError, match="TOYS is built from dict"):
        toys.build(cfg)


@pytest.mark.parametrize(
    ("root", "cfg", "error", "words"),
    [
        ("MODELS", {"type": "ResampleRestorr"}, RegistryError, "closest: ResampleRestorer"),
        ("MODELS", {"type": "ResampleRestorer", "spacial": "nearest"}, ConfigError, "did you mean 'spatial'"),
        ("HOOKS", {"type": "NoSuchHook"}, RegistryError, "not registered in HOOKS"),
        ("MODELS", {"type": "RegressionRestorer"}, ConfigError, "needs the argument 'backbone'"),
    ],
)
def test_what_the_roots_build_is_checked_as_well(in_vrestore_scope, root, cfg, error, words):
    with pytest.raises(error, match=words):
        getattr(roots, root).build(cfg)


def test_the_roots_are_left_alone_in_other_scopes():
    with DefaultScope.overwrite_default_scope("mmengine"), pytest.raises(KeyError, match="mmengine::model registry"):
        roots.MODELS.build({"type": "ResampleRestorr"})


def test_keys_of_a_build_function_are_no_unknown_arguments(in_vrestore_scope):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = roots.PARAM_SCHEDULERS.build(
        {"type": "LinearLR", "start_factor": 0.5, "end": 2, "convert_to_iter_based": True, "by_epoch": True},
        default_args={"optimizer": optimizer, "epoch_length": 3},
    )
    assert scheduler.end == 6


def test_every_registered_class_tells_its_arguments():
    """An entry whose signature cannot be read would get no help with misspelt arguments."""
    for registry in (MODELS, BACKBONES, LOSSES):
        registry.import_from_location()
        for entry in registry.module_dict.values():
            assert inspect.signature(entry).parameters is not None
