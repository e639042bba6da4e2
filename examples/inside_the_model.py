# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Look inside the model
#
# What does a behavior look like in the activations, block by block, before anything is steered; and does that tell
# what steering does, example by example?

# %%
import plotly.graph_objects as go
from scipy.stats import spearmanr

import trimtab as tt
from trimtab import statistics

model = tt.load("smollm2")
examples = tt.Behavior.builtin("sentiment").examples[:60]
taught, kept = examples[:40], examples[40:]

# %% [markdown]
# ## Capture
#
# One vector for each text at each of five places, in one pass: the mean over the text's tokens,
# without the first.

# %%
blocks = [2, 8, 14, 20, 26]
texts = [example.prompt + answer for example in taught for answer in (example.positive, example.negative)]
captured = model.capture(texts, blocks, read="mean").activations
{str(site): tuple(h.shape) for site, h in captured.items()}

# %% [markdown]
# ## Geometry
#
# *Agreement*: how alike the differences of the pairs are, by the cosine with their mean, leaving each pair out of its
# own mean. *Separability*: how far apart the two sides lie along that mean, in standard deviations; on the very
# examples that made the mean, so it flatters.

# %%
sides = {site.block: (h[::2].double().numpy(), h[1::2].double().numpy()) for site, h in captured.items()}
vectors = {block: good.mean(axis=0) - bad.mean(axis=0) for block, (good, bad) in sides.items()}
agreement = {
    block: float(statistics.directional_agreement_loo(good - bad).mean()) for block, (good, bad) in sides.items()
}
apart = {
    block: statistics.separability(good @ vectors[block], bad @ vectors[block]) for block, (good, bad) in sides.items()
}
agreement, apart

# %%
figure = go.Figure()
figure.add_scatter(x=blocks, y=list(apart.values()), name="separability, standard deviations")
figure.add_scatter(x=blocks, y=[10 * value for value in agreement.values()], name="agreement, times 10")
figure.update_layout(xaxis_title="block", height=320)
figure

# %% [markdown]
# Vectors of different blocks point in different directions: a vector belongs to its place.

# %%
statistics.cosine_matrix(list(vectors.values())).round(2)

# %% [markdown]
# ## Effects, example by example
#
# The vector of block 14 from the first 40 examples, and what it does to the margin of the other 20, in nats per
# token.

# %%
steering = tt.Steering.from_vector(14, captured[tt.Site(14)][::2].mean(dim=0) - captured[tt.Site(14)][1::2].mean(dim=0))
prompts = [example.prompt for example in kept]


def margins(strength):
    """Log-probability per token of the desired answer less that of the other, by example."""
    sides = [
        model.score(prompts, [getattr(example, side) for example in kept], steering=steering, strength=strength).mean
        for side in ("positive", "negative")
    ]
    return (sides[0] - sides[1]).double().numpy()


base, forward, backward = margins(0.0), margins(1.0), margins(-1.0)
effects = forward - base
go.Figure(go.Histogram(x=effects, nbinsx=12)).update_layout(xaxis_title="effect, nats per token", height=320)

# %% [markdown]
# An edit does damage too, whichever way it points. What turns with the sign of the vector is its direction's doing
# (*odd*); what does not is damage (*even*).

# %%
odd, even = (forward - backward) / 2, (forward + backward) / 2 - base
{"effect": effects.mean(), "odd": odd.mean(), "even": even.mean(), "pushed the wrong way": (effects < 0).mean()}

# %% [markdown]
# Does an example that lies far along the vector move more? With 20 examples the interval is wide; [the
# study](../docs/study.md#what-came-out) has the answer for 69 behaviors.

# %%
answers = [example.prompt + example.positive for example in kept]
along = model.capture(answers, [14], read="mean").activations[tt.Site(14)].double().numpy() @ vectors[14]
spearmanr(along, effects)
