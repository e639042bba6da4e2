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
# # A first verdict
#
# Will steering make the model speak well of things, on sentences it has not seen? trimtab finds a direction on some
# examples, and decides on others. The budgets here are small, so that it takes a minute or two on a laptop without a
# GPU; a real check takes all the examples it has.

# %%
import trimtab as tt

model = tt.load("smollm2")  # embedded: 135 million parameters
behavior = tt.Behavior.builtin("sentiment")
behavior

# %% [markdown]
# Each example is a prompt with two answers: one that shows the behavior, one that shows the opposite.

# %%
behavior.examples[0]

# %% [markdown]
# ## Look at the examples before the model does
#
# `lint` knows the usual faults: duplicates, one side longer than the other, a label that gives the answer away.

# %%
[finding for finding in tt.lint(behavior) if finding.severity != "info"]

# %% [markdown]
# ## The check
#
# One place in the model (the output of block 17), one way of putting the examples to it, few examples. Left out, all
# of these are chosen by the check on examples that it then does not decide on.

# %%
report = tt.check(
    model,
    behavior,
    site=17,
    prompt_types="prefilled",
    train=40,
    evaluation=32,
    effort="quick",
    folder="out/first-verdict",
)
report

# %%
report.verdict.decision, report.verdict.sentence

# %% [markdown]
# What it was held against. An interval that lies on both sides of its bound leaves the matter open: with 32 examples
# that happens often, and the check says *inconclusive* rather than guess.

# %%
[(bound.name, bound.value, bound.low, bound.high, bound.holds) for bound in report.verdict.bounds]

# %% [markdown]
# ## The control
#
# Pairs of ordinary sentences, labelled by the toss of a coin. There is nothing to steer toward, and the check must
# not find anything.

# %%
nothing = tt.check(
    model, tt.Behavior.builtin("null"), site=17, prompt_types="prefilled", train=40, evaluation=32, effort="quick"
)
nothing.verdict.decision, nothing.verdict.sentence

# %% [markdown]
# `report.save("out/report")` writes the page for people (`report.html`), the figures (`report.json`) and one row for
# each example (`examples.parquet`).

# %%
report.save("out/report")
