"""trimtab as a contender of `../check.py`: a whole check of a built-in behavior at a given site."""

from collections.abc import Callable
from typing import Any

from worker import serve


def trimtab(job: dict[str, Any]) -> tuple[Any, Callable[[], None]]:
    """`read` null is the default, the mean over the answer; `last` is what the peer reads."""
    import trimtab as tt

    model = tt.load(job["folder"], dtype=job["dtype"])
    behavior = tt.Behavior.builtin(job["behavior"])
    options = {key: job[key] for key in ("site", "train", "evaluation", "read")}

    def run() -> Any:
        return tt.check(model, behavior, effort="thorough", **options)

    report = run()
    result = {
        "dtype": str(model.dtype).removeprefix("torch."),
        "chosen": report.verdict.prompt_type,
        "effects": {name: list(p.effects) for name, p in report.prompt_types.items()},
        "odd": {name: p.effect.odd for name, p in report.prompt_types.items()},
        "curve": {str(point.strength): point.effect.value for point in report.curve.points},
    }
    return result, lambda: run() and None


if __name__ == "__main__":
    serve({"trimtab": trimtab})
