"""A vector from a few texts of either kind: the commonest wish, in one call."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from trimtab.errors import InputError
from trimtab.interventions import Place, Site
from trimtab.models import Model
from trimtab.steering import Steering
from trimtab.steering.methods import MeanDifference, Sides


def vector(
    model: Model,
    positives: Sequence[str],
    negatives: Sequence[str],
    *,
    site: Place,
    name: str = "vector",
    read: Literal["last", "mean"] = "mean",
    chat_template: bool = False,
) -> Steering:
    """The mean difference between the activations of two lists of texts, as a steering.

    Whether it will hold is for `trimtab.check(model, behavior, steering=…)` to say.

    Example:
        >>> import trimtab as tt
        >>> model = tt.load("smollm2")
        >>> kind = tt.vector(model, ["What a joy!", "Well done."], ["What a bore.", "Hopeless."], site=14, name="kind")
        >>> kind.attributes, kind.vector(14).shape
        ({'kind': 1.0}, torch.Size([576]))
        >>> text = model.generate("My day was", steering=kind, strength=2.0, max_new_tokens=8)

    Args:
        model: see `trimtab.load`.
        positives: texts of the wanted kind, as they are or with special tokens of your own.
        negatives: texts of the other kind; as many as one likes of either.
        site: where it is read and added: 14, `attention:14`, or a `Site`.
        name: the attribute's.
        read: the `mean` over a text's tokens, without the first and without massive activations, or its `last` token.
        chat_template: put the texts through the tokenizer's chat template.

    Returns:
        A steering with one attribute, `[d_model]` at one site, at strength 1.

    Raises:
        InputError: a side without texts, sides with the same mean, a site that the model does not have.
    """
    for side, texts in (("positives", positives), ("negatives", negatives)):
        if isinstance(texts, str) or not texts:
            raise InputError(f"{side}: give a list of texts, at least one")
    where, n = Site.of(site), len(positives)
    result = model.capture([*positives, *negatives], [where], read=read, chat_template=chat_template)
    h = result.activations[where]
    data = {name: {where: Sides(h[:n], h[n:], paired=False)}}
    made = MeanDifference().fit(data, made_for=model.facts)
    asked = {**made.origin.hyperparameters, "read": read, "chat_template": chat_template}
    return made.changed(origin=replace(made.origin, hyperparameters=asked))
