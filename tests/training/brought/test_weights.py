"""Pretrained weights: from a file or from a cache, never fetched, and with the normalisation that they need."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision.models import get_model

from tune_lpc.plan import TrialSpec, UserError
from tune_lpc.training.brought.weights import normalisation_of_weights, weights_of_timm, weights_of_torchvision
from tune_lpc.training.loop import Training
from tune_lpc.training.models import Network, build_network

TIMM, TORCHVISION = "resnet10t", "mobilenet_v3_small"


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path


def built(name: str, channels: int = 3, **settings: object) -> Network:
    torch.manual_seed(0)
    return build_network(TrialSpec.build({"network": name, **settings}), 10, channels, 32)


def test_weights_that_are_not_here_are_told_with_the_way_to_fetch_them(empty_caches: Path) -> None:
    for find, name, how in (
        (weights_of_timm, TIMM, f"timm.create_model('{TIMM}', pretrained=True)"),
        (weights_of_torchvision, TORCHVISION, f"get_model('{TORCHVISION}', weights='DEFAULT')"),
    ):
        with pytest.raises(UserError) as caught:
            find(name)
        assert "are not on this machine; fetch them once: python -c" in str(caught.value) and how in str(caught.value)


def test_those_of_a_cache_are_found(empty_caches: Path) -> None:
    config = timm.get_pretrained_cfg(TIMM)
    assert config is not None and config.hf_hub_id is not None
    snapshot = empty_caches / "hub" / f"models--{config.hf_hub_id.replace('/', '--')}" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    network = timm.create_model(TIMM)
    save_file(network.state_dict(), snapshot / "model.safetensors")
    found = built(f"timm/{TIMM}", pretrained=True)
    for name, value in network.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(found.backbone.backbone.state_dict()[name], value), name  # type: ignore[union-attr]


def test_those_of_torchvision_are_found(empty_caches: Path) -> None:
    folder = empty_caches / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    network = get_model(TORCHVISION)
    torch.save(network.state_dict(), folder / "mobilenet_v3_small-047dcff4.pth")
    found = built(f"torchvision/{TORCHVISION}", channels=1, pretrained=True)
    weight = found.backbone.backbone.features[0][0].weight  # type: ignore[union-attr, index]
    assert torch.equal(weight, network.features[0][0].weight)
    images = torch.randn(2, 1, 32, 32)
    found.eval()
    torch.testing.assert_close(
        found(images).features, found.backbone(images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", [f"timm/{TIMM}", f"torchvision/{TORCHVISION}"])
def test_a_file_of_another_network_or_none_is_told(name: str, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    torch.save(torch.nn.Linear(3, 4).state_dict(), other)
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    for path in (other, tmp_path / "broken.pth", tmp_path / "gone.pth"):
        with pytest.raises(UserError) as caught:
            built(name, pretrained=True, pretrained_file=str(path))
        assert "\n" not in caught.value.problems[0]


def test_images_are_normalised_as_the_weights_were_trained(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(get_model(TORCHVISION).state_dict(), path)
    spec = TrialSpec.build({"network": f"torchvision/{TORCHVISION}", "pretrained": True, "pretrained_file": str(path)})
    images, rows = torch.randint(256, (8, 32, 32, 3), dtype=torch.uint8), torch.arange(8)
    training = Training(spec, images, rows % 2, rows, rows)
    assert training.normalisation == (
        [pytest.approx(v) for v in (0.485, 0.456, 0.406)],
        pytest.approx([0.229, 0.224, 0.225]),
    )
    assert normalisation_of_weights("timm/resnet10t", 1)[0] == [pytest.approx(0.449, abs=1e-3)]
