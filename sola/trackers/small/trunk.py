"""A small convolutional trunk that replaces Hiera in SAM 2's image encoder."""

from collections.abc import Sequence

from torch import Tensor, nn


class ConvTrunk(nn.Module):
    """Feature maps at strides 4, 8 and 16 from plain residual convolutions.

    Plugs into ``sam2.modeling.backbones.image_encoder.ImageEncoder``, which expects
    ``channel_list`` (widths from the lowest resolution to the highest) and maps from the highest
    resolution to the lowest.

    Args:
        dims: channels at strides 4, 8 and 16; each a multiple of 8 (group norm) and the first even.
        depths: residual blocks at each of the three strides.
    """

    def __init__(
        self, dims: Sequence[int] = (32, 64, 128), depths: Sequence[int] = (1, 1, 2)
    ) -> None:
        super().__init__()
        self.channel_list = list(dims)[::-1]
        self.stem = nn.Sequential(nn.Conv2d(3, dims[0] // 2, 3, stride=2, padding=1), nn.GELU())
        widths = [dims[0] // 2, *dims]
        self.stages = nn.ModuleList(
            _stage(before, after, depth)
            for before, after, depth in zip(widths[:-1], widths[1:], depths, strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) images to [(B, dims[i], H / s, W / s) for s in 4, 8, 16]."""
        x = self.stem(images)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, each after group norm and GELU, added to the input."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(8, dim),
            nn.GELU(),
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.GroupNorm(8, dim),
            nn.GELU(),
            nn.Conv2d(dim, dim, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, dim, H, W) to the same shape."""
        return x + self.layers(x)


def _stage(before: int, after: int, depth: int) -> nn.Sequential:
    halve = nn.Conv2d(before, after, 3, stride=2, padding=1)
    return nn.Sequential(halve, *[ResidualBlock(after) for _ in range(depth)])
