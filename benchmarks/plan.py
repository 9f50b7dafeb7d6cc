"""Simulate how evenly many devices share the videos of a split, without a network.

    python benchmarks/plan.py                  # seconds

It draws as many videos as MeViS has for training, with random lengths, objects and speeds. The
estimated cost that the plan uses is off by a random factor. Each device takes the next video of the
plan when it is free, like the processes of ``generate.py``. Prints, per number of devices,
``ratio plan_<devices> <value> bar 1.05``: the time until all are done over a lower bound, the
larger of total / devices and the longest video; the worst of ``--draws`` draws. Next to it is the
same for videos assigned in turn.
"""

import argparse
import heapq
from collections.abc import Sequence

import numpy as np

DEVICES = (1, 2, 4, 8, 16, 32, 64)
NUM_VIDEOS = 1662
BAR = 1.05


def main() -> None:
    """Print the worst ratio for every number of devices."""
    parser = argparse.ArgumentParser(description="makespan over its lower bound")
    parser.add_argument("--videos", type=int, default=NUM_VIDEOS)
    parser.add_argument("--error", type=float, default=0.3, help="sigma of log cost / estimate")
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    draws = [draw_videos(options.videos, options.error, seed) for seed in range(options.draws)]
    frames = np.concatenate([each[0] for each in draws])
    print(
        f"{options.draws} draws of {options.videos} videos: {frames.mean():.0f} frames on average, "
        f"{frames.min()} to {frames.max()}; costs wrong by a factor of e^{options.error}"
    )
    for number in DEVICES:
        in_turn, shared = 0.0, 0.0
        for _, estimates, costs in draws:
            bound = max(sum(costs) / number, max(costs))
            dealt = max(sum(costs[device::number]) for device in range(number))
            in_turn = max(in_turn, dealt / bound)
            shared = max(shared, makespan(estimates, costs, number) / bound)
        print(f"  {number:2d} devices: dealt out in turn {in_turn:.3f}")
        print(f"ratio plan_{number} {shared:.3f} bar {BAR}")


def draw_videos(
    num_videos: int, error: float, seed: int
) -> tuple[np.ndarray, list[float], list[float]]:
    """Draw the frames, estimated costs and true costs of videos.

    Frames are log-normal around 65, from 20 to 400, with a mean near MeViS's 79. Objects are 1 or
    more, on average 4 as in MeViS.
    """
    rng = np.random.default_rng(seed)
    frames = np.clip(rng.lognormal(np.log(65), 0.6, num_videos), 20, 400).astype(int)
    objects = 1 + rng.poisson(3.1, num_videos)
    estimates = (frames * objects).astype(float)
    costs = estimates * rng.lognormal(0, error, num_videos)
    return frames, estimates.tolist(), costs.tolist()


def makespan(estimates: Sequence[float], costs: Sequence[float], num_devices: int) -> float:
    """Return the time until all devices are done; each takes the next video when it is free."""
    free_at = [0.0] * num_devices  # a heap
    for number in sorted(range(len(costs)), key=estimates.__getitem__, reverse=True):
        heapq.heapreplace(free_at, free_at[0] + costs[number])
    return max(free_at)


if __name__ == "__main__":
    main()
