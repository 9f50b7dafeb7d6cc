"""The torchmetrics class: plain means over expressions, whatever processes they were counted in."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from sola.masks import encode
from sola.metrics import JAndF, boundary_f_measure, region_similarity


def masks(seed: int, num_frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    preds = torch.rand(num_frames, 12, 14, generator=generator) < 0.5
    return preds, preds ^ (torch.rand(num_frames, 12, 14, generator=generator) < 0.2)


def test_expressions_count_equally_whatever_the_length_of_the_video() -> None:
    metric = JAndF()
    expressions = [masks(0, 1), masks(1, 5), masks(2, 3)]
    for preds, target in expressions:
        metric.update(preds, target)

    j = torch.stack([region_similarity(*pair).mean() for pair in expressions]).mean()
    boundary_f = torch.stack([boundary_f_measure(*pair).mean() for pair in expressions]).mean()

    values = metric.compute()
    torch.testing.assert_close(values["J"], j, rtol=0, atol=1e-12)
    torch.testing.assert_close(values["F"], boundary_f, rtol=0, atol=1e-12)
    torch.testing.assert_close(values["J&F"], (j + boundary_f) / 2, rtol=0, atol=1e-12)
    assert {value.dtype for value in values.values()} == {torch.float64}


def test_masks_of_every_form_count_the_same() -> None:
    metric, others = JAndF(), JAndF()
    for seed in range(3):
        preds, target = masks(seed, 2)
        metric.update(preds, target)
        own, true = preds.numpy(), target.numpy()
        form = [(own, true), (preds.to(torch.uint8), true), (encode(own), encode(true))][seed]
        others.update(*form)

    assert others.compute() == metric.compute()


def test_expression_without_frames_is_refused() -> None:
    for shape in [(0, 4, 4), (1, 2, 4, 4)]:
        masks = torch.zeros(shape, dtype=torch.bool)
        with pytest.raises(ValueError, match="at least one frame"):
            JAndF().update(masks, masks)


def test_states_of_several_processes_add_up() -> None:
    everything, theirs = JAndF(), JAndF()
    mine = JAndF(
        dist_sync_fn=lambda state, group: [state, next(gathered)],
        distributed_available_fn=lambda: True,
    )
    for seed in range(5):
        everything.update(*masks(seed, 2))
        (mine if seed % 2 else theirs).update(*masks(seed, 2))  # 2 expressions here, 3 there
    gathered = iter([theirs.j_sum, theirs.boundary_f_sum, theirs.num_expressions])

    values = mine.compute()

    for name, value in everything.compute().items():
        torch.testing.assert_close(values[name], value, rtol=0, atol=1e-12)


def _count_in_one_process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/sync", rank=rank, world_size=2)
    metric = JAndF()
    for seed in range(5)[rank::2]:  # 3 expressions here, 2 there
        metric.update(*masks(seed, 2))
    torch.save(metric.compute(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path: object) -> None:
    mp.spawn(_count_in_one_process, args=(str(tmp_path),), nprocs=2)
    metric = JAndF()
    for seed in range(5):
        metric.update(*masks(seed, 2))

    for rank in range(2):
        values = torch.load(f"{tmp_path}/{rank}.pt")
        for name, value in metric.compute().items():
            torch.testing.assert_close(values[name], value, rtol=0, atol=1e-12)
