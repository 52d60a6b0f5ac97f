"""ResNet. Traps: Keras' convolutions have biases where the modules' have none (the running_mean behind takes them in);
a block's stride is on the first 1×1 convolution in Keras, on the 3×3 one in torchvision; epsilon 1.001e-5 in Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.pair import Pair, built
from zoo.settings import set_epsilon

if TYPE_CHECKING:
    import keras
    from torch import nn

BLOCKS = (1, 2, 2, 1)


def small_keras() -> keras.Model:
    """As keras.applications builds ResNet50, of fewer blocks."""
    from keras.src.applications.resnet import ResNet, stack_residual_blocks_v1

    def stacks(x: Any) -> Any:
        for stage, blocks in enumerate(BLOCKS):
            stride = 1 if stage == 0 else 2
            x = stack_residual_blocks_v1(x, 32 * 2**stage, blocks, stride1=stride, name=f"conv{stage + 2}")
        return x

    return ResNet(
        stacks, False, True, weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None,
        weights_name="small",
    )  # fmt: skip


def transformers(depths: tuple[int, ...], labels: int, widths: tuple[int, ...] = (256, 512, 1024, 2048)) -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        depths=list(depths), hidden_sizes=list(widths), layer_type="bottleneck", downsample_in_bottleneck=True,
        num_labels=labels,
    )  # fmt: skip
    return ResNetForImageClassification(config)


FOUND = ("eps is 1e-05, Keras has 1.001e-05",)


def told(module: nn.Module) -> None:
    set_epsilon(module, 1.001e-5)


def keras_applications(name: str, **options: Any) -> Any:
    return built(f"keras.applications:{name}", weights=None, classifier_activation=None, **options)


PAIRS = (
    Pair(
        "ResNet, small → transformers ResNet",
        small_keras,
        lambda: transformers(BLOCKS, 10, (128, 256, 512, 1024)),
        findings=FOUND,
        told=told,
    ),
    Pair(
        "ResNet50 → torchvision resnet50, other stride",
        keras_applications("ResNet50", input_shape=(64, 64, 3), classes=10),
        built("torchvision.models:resnet50", num_classes=10),
        differs=("layer2.0.conv1", "stride", "pass eps=1.001e-05"),
    ),
    Pair(
        "ResNet50 → transformers ResNet",
        keras_applications("ResNet50"),
        lambda: transformers((3, 4, 6, 3), 1000),
        full=True,
        findings=FOUND,
        told=told,
    ),
    Pair(
        "ResNet101 → transformers ResNet",
        keras_applications("ResNet101"),
        lambda: transformers((3, 4, 23, 3), 1000),
        full=True,
        gammas=(0.2, 0.6),
        findings=FOUND,
        told=told,
    ),
)
