"""Many behaviors on many models: geometry and effects of each, and what they show together."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from trimtab.behaviors import Behavior
from trimtab.experiment.executor import LOCAL
from trimtab.experiment.progress import Progress
from trimtab.interventions import Place, places
from trimtab.languages import Code
from trimtab.model_source import ModelSource
from trimtab.results.study import Study
from trimtab.workflows.study.grid import run_grid
from trimtab.workflows.study.parts import Grid, families_of


def study(
    models: str | Path | ModelSource | Sequence[str | Path | ModelSource],
    behaviors: Sequence[Behavior],
    *,
    folder: str | Path,
    site: Place | Sequence[Place] | None = None,
    prompt_types: Sequence[str] | str = "all",
    equal_dose: float = 0.1,
    slopes: bool = False,
    train: int | None = None,
    evaluation: int | None = None,
    seed: int = 0,
    chat_template: bool = False,
    controls: Sequence[str] = (),
    families: Mapping[str, str] | None = None,
    workers: int | None = None,
    executor: str = LOCAL,
    progress: Progress | None = None,
    command: str = "",
    language: Code = "en",
) -> Study:
    """Measure every behavior on every model under every prompt type, and what they show together.

    Example:
        >>> import trimtab as tt
        >>> behaviors = [tt.Behavior.builtin("sentiment"), tt.Behavior.builtin("formality")]
        >>> result = tt.study("smollm2", behaviors, folder="study", prompt_types="prefilled", train=12, evaluation=16)
        >>> [(cell.behavior, cell.prompt_type) for cell in result.cells]
        [('sentiment', 'prefilled'), ('formality', 'prefilled')]

    Args:
        models: names as `trimtab.load` takes them, or `ModelSource`s that say dtype, adapter and label too.
        behaviors: at least one; names differ.
        folder: where finished parts and the tables are kept, so that an interrupted study goes on.
        site: where to steer: `14`, `attention:14`, `10-18` for each of these blocks, or several of them; None and
            `auto` take the residual in the middle of each model.
        prompt_types: name or names of the types, or `all`.
        equal_dose: the edit size ratio that vectors are brought to besides strength 1.
        slopes: whether effects are measured over strengths too.
        train, evaluation: examples; None takes as many as the sets afford.
        seed: of splits, folds and resampling.
        chat_template: put prompts through the tokenizer's chat template.
        controls: names of behaviors with nothing to steer toward; they are left out of correlations.
        families: family by name of behavior, resampled together; by default names that begin with the same word are
            one family.
        workers: how many; each loads the model and gets its share of the threads. None for this process alone.
        executor: `local` for processes of this machine, `ray` or `ray://HOST:PORT` for a Ray cluster; see
            `trimtab.experiment.executor.executor_named`. The tables are the same.
        progress: is told how far the work is.
        command: recorded.
        language: of the page.

    Returns:
        The study: a cell for each behavior, prompt type, site and model, and the associations over them.

    Raises:
        InputError: names that repeat, no behaviors, a site or a model that is not there.
    """
    several = [models] if isinstance(models, str | Path | ModelSource) else models
    sources = [m if isinstance(m, ModelSource) else ModelSource(str(m), str(m)) for m in several]
    where = places(site)
    grid = Grid(
        sites=None if where is None else tuple(map(str, where)),
        prompt_types=(prompt_types,) if isinstance(prompt_types, str) else tuple(prompt_types),
        equal_dose=equal_dose,
        slopes=slopes,
        train=train,
        evaluation=evaluation,
        seed=seed,
        chat_template=chat_template,
        controls=tuple(controls),
        families=families_of([b.name for b in behaviors]) if families is None else families,
    )
    return run_grid(
        sources,
        behaviors,
        grid,
        folder,
        workers=workers,
        executor=executor,
        progress=progress,
        command=command,
        language=language,
    )
