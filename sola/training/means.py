"""Means over an epoch, of all processes, which a run that goes on takes up where it ended."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class RunningMeans:
    """Means of named values, each of a number of things.

    Args:
        names: of the values.
    """

    def __init__(self, *names: str) -> None:
        self.names = names
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self._sums: dict[str, Tensor] = dict.fromkeys(
            self.names, torch.zeros((), dtype=torch.double)
        )
        self._counts = dict.fromkeys(self.names, 0)

    def add(self, values: Mapping[str, Tensor | float], count: int) -> None:
        """Adds means over ``count`` things."""
        for name, value in values.items():
            if count:  # a mean of nothing may be NaN
                own = value.detach() if isinstance(value, Tensor) else torch.tensor(value)
                self._sums[name] = self._sums[name] + own.double() * count
                self._counts[name] += count

    def add_all(self, other: "RunningMeans") -> None:
        """Adds what another has, of the same names."""
        for name in self.names:
            self._sums[name] = self._sums[name] + other._sums[name]
            self._counts[name] += other._counts[name]

    def gather(self, device: torch.device) -> int:
        """Adds what the other processes have, if there are any; all of them have to call it.

        Returns:
            The number of processes.
        """
        if not (dist.is_available() and dist.is_initialized()):
            return 1
        counts = torch.tensor([self._counts[name] for name in self.names])
        sums = torch.stack([self._sums[name].to(device) for name in self.names])
        totals = torch.stack([sums, counts.to(sums)])
        dist.all_reduce(totals)
        self._sums = dict(zip(self.names, totals[0], strict=True))
        self._counts = {
            name: round(count) for name, count in zip(self.names, totals[1].tolist(), strict=True)
        }
        return dist.get_world_size()

    def count(self, name: str) -> int:
        """How many things a value is the mean of."""
        return self._counts[name]

    def means(self) -> dict[str, Tensor]:
        """The values that are the mean of anything, float32 scalars."""
        return {name: (self._sums[name] / n).float() for name, n in self._counts.items() if n}

    def state_dict(self) -> dict[str, Any]:
        """In plain types."""
        return {name: [float(self._sums[name]), self._counts[name]] for name in self.names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up what ``state_dict`` gave."""
        for name, (total, count) in state.items():
            self._sums[name] = torch.tensor(total, dtype=torch.double)
            self._counts[name] = count
