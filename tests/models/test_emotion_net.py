"""EmotionNet: its names, its head, and the weights that it starts from."""

from urllib.error import URLError

import pytest
import torch
from torchvision import models

from core_code.core_utils.errors import InputError
from core_code.models.architectures import ARCHITECTURES, Architecture, HyperParameters
from core_code.models.emotion_net import EmotionNet


def imagenet_state(builder: str = "shufflenet_v2_x0_5", seed: int = 3) -> dict[str, torch.Tensor]:
    """A state dict as torchvision publishes it, with 1000 classes."""
    torch.manual_seed(seed)
    return models.get_model(builder, weights=None).state_dict()


@pytest.mark.parametrize(("name", "features"), [("resnet18", 512), ("densenet201", 1920)])
def test_names_shapes_and_defaults(name, features):
    net = EmotionNet(name).eval()
    assert all(key.startswith("nn_model.") for key in net.state_dict())
    assert (net.head.in_features, net.head.out_features) == (features, 7)
    reference = models.get_model(name, weights=None).state_dict()
    head = ARCHITECTURES[name].head + "."
    ours = {key.removeprefix("nn_model.") for key in net.state_dict()}
    assert ours == set(reference)
    assert all(net.state_dict()[f"nn_model.{key}"].shape == reference[key].shape
               for key in ours if not key.startswith(head))  # fmt: skip
    with torch.no_grad():
        assert net(torch.rand(2, 1, 32, 32).expand(-1, 3, -1, -1)).shape == (2, 7)


def test_the_table_holds_the_published_hyper_parameters():
    assert ARCHITECTURES["resnet18"].defaults == HyperParameters(128, 2e-4, 2e-5, "adam", "cosine")
    assert ARCHITECTURES["densenet201"].defaults == HyperParameters(32, 3e-4, 3.4e-5, "adam", "cosine")


def test_a_third_net_is_one_entry_whatever_its_head(monkeypatch):
    entry = Architecture("mobilenet_v3_small", "IMAGENET1K_V1", 1024, "classifier.3", HyperParameters(8, 1e-3, 0.0))
    monkeypatch.setitem(ARCHITECTURES, "mobilenet", entry)
    net = EmotionNet("mobilenet").eval()
    with torch.no_grad():
        assert net(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    net.load_backbone("none")


def test_logits_equal_the_plain_nets(small):
    state = imagenet_state()
    net = EmotionNet(small).eval()
    net.load_backbone_state(state, "made here")
    plain = models.shufflenet_v2_x0_5(weights=None)
    plain.load_state_dict(state)
    plain.fc = net.head
    views = torch.rand(3, 3, 40, 40)
    with torch.no_grad():
        assert torch.allclose(net(views), plain.eval()(views), atol=1e-5)


def test_head_only_leaves_the_backbone_and_its_statistics_alone(small):
    net = EmotionNet(small, head_only=True).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    torch.nn.functional.cross_entropy(net(torch.rand(4, 3, 32, 32)), torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"nn_model.fc.weight", "nn_model.fc.bias"}


def test_a_torchvision_file_loads_all_but_its_head(small, tmp_path):
    state = imagenet_state()
    torch.save(state, tmp_path / "weights.pth")
    net = EmotionNet(small)
    head = net.head.weight.clone()
    net.load_backbone(str(tmp_path / "weights.pth"))
    loaded = net.nn_model.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items() if not key.startswith("fc."))
    assert torch.equal(net.head.weight, head)


def test_our_own_checkpoint_file_loads_all_but_its_head(small, tmp_path):
    other = EmotionNet(small)
    torch.save({"net": other.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pth")
    net = EmotionNet(small)
    net.load_backbone(str(tmp_path / "checkpoint.pth"))
    assert torch.equal(net.nn_model.conv1[0].weight, other.nn_model.conv1[0].weight)
    assert not torch.equal(net.head.weight, other.head.weight)


def test_densenet_files_with_the_older_names_load(tmp_path):
    state = imagenet_state("densenet201")
    older = {}
    for key, value in state.items():
        for kind in ("norm", "conv"):
            for number in "12":
                if "denselayer" in key:
                    key = key.replace(f".{kind}{number}.", f".{kind}.{number}.")
        older[key] = value
    assert set(older) != set(state)
    torch.save(older, tmp_path / "weights.pth")
    net = EmotionNet("densenet201")
    net.load_backbone(str(tmp_path / "weights.pth"))
    loaded = net.nn_model.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items() if not key.startswith("classifier."))


def without_counters(state):
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


PASSED_AROUND = {
    "of 2017, without counters": without_counters,
    "state_dict": lambda state: {"state_dict": state, "epoch": 90, "arch": "resnet18"},
    "model": lambda state: {"model": state},
    "model within state_dict": lambda state: {"state_dict": {"model": state}},
    "DataParallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "compiled": lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
    "compiled in DataParallel": lambda state: {"model": {f"module._orig_mod.{k}": v for k, v in state.items()}},
    "DataParallel compiled": lambda state: {f"_orig_mod.module.{k}": v for k, v in state.items()},
    "one compiled stage": lambda state: {k.replace("stage2.", "stage2._orig_mod."): v for k, v in state.items()},
    "Lightning": lambda state: {"state_dict": {f"model.{k}": v for k, v in state.items()}, "callbacks": {}},
    "parameters": lambda state: {k: torch.nn.Parameter(v, v.is_floating_point()) for k, v in state.items()},
    "all at once": lambda state: {"state_dict": {f"module.{k}": v for k, v in without_counters(state).items()}},
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", PASSED_AROUND.values(), ids=PASSED_AROUND)
def test_weights_load_as_they_are_passed_around(small, tmp_path, wrap, zipped):
    state = imagenet_state()
    for value in state.values():
        value.add_(1)  # the counters are 1, where a file has them
    torch.save(wrap(dict(state)), tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    net = EmotionNet(small)
    net.load_backbone(str(tmp_path / "weights.pth"))
    loaded = net.nn_model.state_dict()
    counted = wrap in (without_counters, PASSED_AROUND["all at once"])
    for key, value in state.items():
        expected = torch.zeros(()) if counted and key.endswith("num_batches_tracked") else value
        assert key.startswith("fc.") or torch.equal(loaded[key], expected.to(value.dtype)), key


def test_an_unknown_wrapper_is_named(small, tmp_path):
    torch.save({"ema": imagenet_state(), "epoch": 3}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"it has dicts named ema: expected tensors, or net, state_dict, model"):
        EmotionNet(small).load_backbone(str(tmp_path / "weights.pth"))


def missing(state):
    del state["conv5.0.weight"]


def surplus(state):
    state["layer9.weight"] = torch.zeros(1)


def reshaped(state):
    state["conv1.0.weight"] = torch.zeros(24, 1, 3, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [(missing, "conv5.0.weight is missing"), (surplus, "layer9.weight is not part"), (reshaped, "expected")],
)
def test_weights_that_do_not_match_are_refused(small, tmp_path, change, said):
    state = imagenet_state()
    change(state)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=said) as error:
        EmotionNet(small).load_backbone(str(tmp_path / "weights.pth"))
    assert str(tmp_path / "weights.pth") in str(error.value) and "\n" not in str(error.value)


def test_a_missing_weights_file_is_refused(small, tmp_path):
    with pytest.raises(InputError, match="no such weights file"):
        EmotionNet(small).load_backbone(str(tmp_path / "nowhere.pth"))


def test_imagenet_weights_that_cannot_be_downloaded_are_an_error_that_says_what_to_do(small, monkeypatch, tmp_path):
    def refuse(*args, **options):
        raise URLError("no way to the net")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    with pytest.raises(InputError) as error:
        EmotionNet(small).load_backbone("imagenet")
    said = str(error.value)
    assert "no way to the net" in said and "--weights FILE" in said and "--weights none" in said
    assert models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1.url in said and "\n" not in said


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04", b"\x80\x02."])
def test_damaged_imagenet_weights_in_the_cache_are_named(small, monkeypatch, tmp_path, content):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub/checkpoints" / models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[1]
    cached.parent.mkdir(parents=True)
    cached.write_bytes(content)
    with pytest.raises(InputError, match="remove the file to download it again") as error:
        EmotionNet(small).load_backbone("imagenet")
    assert str(cached) in str(error.value)


def test_imagenet_weights_are_torchvisions(small, monkeypatch):
    state = imagenet_state()
    monkeypatch.setattr(models.ShuffleNet_V2_X0_5_Weights, "get_state_dict", lambda self, **options: dict(state))
    net = EmotionNet(small)
    net.load_backbone("imagenet")
    assert torch.equal(net.nn_model.conv1[0].weight, state["conv1.0.weight"])


def test_the_hidden_head_of_byol_pre_training(small):
    net = EmotionNet(small, hidden_head=True)
    linear = [module for module in net.head if isinstance(module, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [
        (1024, 128),
        (128, 7),
    ]
