"""A DataLoader whose place in an epoch is part of a checkpoint."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import DataLoader, Dataset

from sola.errors import UserError
from sola.training.order import StepSampler


class TellingLoader(DataLoader[Any]):
    """Raises the UserError that a worker process returned in place of a batch.

    DataLoader itself would wrap its text into the worker's traceback.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # its own class is private
        """Batches.

        Raises:
            UserError: of a worker process.
        """
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                raise batch
            yield batch


class ResumableLoader(TellingLoader):
    """Serves the steps of a ``StepSampler``, and goes on within an epoch from where a run ended.

    Lightning keeps ``state_dict`` in checkpoints, and passes over as many steps by its own count.
    """

    def __init__(self, dataset: Dataset[Any], sampler: StepSampler, **options: Any) -> None:
        super().__init__(dataset, batch_sampler=sampler, **options)
        self.steps = sampler
        self._num_served = 0
        self._loaded: Mapping[str, Any] = {}

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # as above
        """Serves the sampler's epoch, or what is left of it after ``load_state_dict``.

        Begins at the first ``next``: Lightning asks for the iterator before it tells the epoch.

        Raises:
            UserError: if the run that was interrupted had other steps.
        """
        loaded, self._loaded = self._loaded, {}
        self._num_served = 0
        if loaded.get("epoch") == self.steps.epoch and loaded["num_served"]:
            self._check_same_steps(loaded)
            self._num_served = loaded["num_served"]
        self.steps.start = self._num_served
        for batch in super().__iter__():
            self._num_served += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch, in plain types."""
        state = {"epoch": self.steps.epoch, "num_served": self._num_served}
        return state | {"description": self.steps.description}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next pass goes on from there, if it is of the same epoch."""
        self._loaded = state

    def _check_same_steps(self, loaded: Mapping[str, Any]) -> None:
        before, own = loaded["description"], self.steps.description
        changes = [
            f"{key} was {before.get(key)}, is {value}"
            for key, value in own.items()
            if before.get(key) != value
        ]
        if not changes:
            return
        raise UserError(
            f"the run to go on with stopped within epoch {self.steps.epoch + 1}, which has another "
            f"order here: {'; '.join(changes)}. Resume with its configuration and devices."
        )
