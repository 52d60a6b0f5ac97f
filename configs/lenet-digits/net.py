"""LeNet-5 (LeCun et al. 1998) as one writes it in PyTorch."""

import torch
from torch import nn


class LeNet5(nn.Module):
    """Grey images to class probabilities.

    Shape: ``(batch, 1, 32, 32)`` in [0, 1] → ``(batch, classes)``, each row summing to 1.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, kernel_size=5),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(16, 120, kernel_size=5),
            nn.Tanh(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(120, 84),
            nn.Tanh(),
            nn.Linear(84, classes),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.classifier(self.features(images))
        # The Keras model ends in a softmax, so this one does too: then their outputs are the same numbers.
        return torch.softmax(logits, dim=1)
