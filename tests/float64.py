"""SAM 2 in float64, where rounding is too small to flip a pixel."""

from collections.abc import Callable
from typing import Any

import torch


def in_float64(model: Any) -> Any:
    """The same network, with all of its weights and whatever enters its layers in float64.

    Upstream casts frames, masks and points to float32.
    """
    model.double()
    for module in model.modules():
        if hasattr(module, "_pe_encoding"):
            module._pe_encoding = _casting(module._pe_encoding)
        elif isinstance(getattr(module, "weight", None), torch.Tensor):
            module.forward = _casting(module.forward)
    return model


def _casting(function: Callable[..., Any]) -> Callable[..., Any]:
    def cast(value: Any) -> Any:
        return value.double() if torch.is_tensor(value) and value.is_floating_point() else value

    return lambda *values: function(*map(cast, values))
