"""hidden-directions as a contender of `../geometry.py`: its steerability screen, at one layer."""

from collections.abc import Callable
from typing import Any

import numpy as np
from worker import serve


def hidden_directions(job: dict[str, Any]) -> tuple[Any, Callable[[], None]]:
    """It works on lists of Python numbers; arrays are made into them beforehand, though it can do that itself."""
    from hidden_directions.screen import screen_from_sides

    with np.load(job["file"]) as sides:  # (n, layers, d)
        positive, negative = (sides[side][:, None, :].tolist() for side in ("positive", "negative"))
    n = job["checked"]
    every_pair = n * (n - 1) // 2
    results = screen_from_sides(positive[:n], negative[:n], max_pairs=every_pair)
    result = {"cosine": results["cos_agreement"][0], "separation": results["separation"][0]}
    return result, lambda: screen_from_sides(positive, negative) and None


if __name__ == "__main__":
    serve({"hidden-directions": hidden_directions})
