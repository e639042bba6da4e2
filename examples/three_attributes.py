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
# # Three attributes in one steering
#
# Vectors of several behaviors get into each other's way where each is added to every token. Here each stands behind a
# *gate*, a small probe that looks at each token and opens where that behavior is wanting. One steering, a strength
# for each attribute, and each prompt may have its own.

# %%
import trimtab as tt

model = tt.load("smollm2")
behaviors = [tt.Behavior.builtin(name) for name in ("sentiment", "formality", "brevity")]
behaviors[1]

# %% [markdown]
# ## Fit
#
# At one place, at strength 1, on 40 examples each, and unchecked, to be quick. Left out, places and strengths are
# chosen on examples kept for it, and every attribute is checked by itself.

# %%
fitted = tt.fit(
    model, behaviors, method="exclusive-gates", site=14, strength=1.0, train=40, evaluation=20, verify=False
)
fitted.steering

# %% [markdown]
# How far the gates open (0 to 1), on average over tokens of each attribute's undesired texts, of its desired ones and
# of the others' texts: a gate should stay shut on the latter two.

# %%
gates = fitted.training.sites["14"].gates
{
    name: {"undesired": gate.negative.gate, "desired": gate.positive.gate, "others": gate.others and gate.others.gate}
    for name, gate in gates.items()
}

# %% [markdown]
# ## One batch, three strengths
#
# The first row is unsteered; the second cheerful; the third formal and brief.

# %%
strengths = [
    {"sentiment": 0.0, "formality": 0.0, "brevity": 0.0},
    {"sentiment": 2.0, "formality": 0.0, "brevity": 0.0},
    {"sentiment": 0.0, "formality": 2.0, "brevity": 2.0},
]
model.generate(["My day at work was"] * 3, steering=fitted.steering, strength=strengths, max_new_tokens=20)

# %% [markdown]
# ## What each does to the others
#
# Rows: the attribute that is on. Columns: by how much it moves the margin between desired and undesired answers of
# each behavior, in nats per token, on twelve examples. The diagonal should be large and the rest near 0.

# %%
off = {behavior.name: 0.0 for behavior in behaviors}


def margin(behavior, strength):
    """Mean log-probability per token of desired less undesired answers, on the last twelve examples."""
    last = behavior.examples[-12:]
    prompts = [example.prompt for example in last]
    sides = [
        model.score(prompts, [getattr(e, side) for e in last], steering=fitted.steering, strength=strength).mean.mean()
        for side in ("positive", "negative")
    ]
    return float(sides[0] - sides[1])


base = {behavior.name: margin(behavior, off) for behavior in behaviors}
{on: {b.name: round(margin(b, off | {on: 2.0}) - base[b.name], 3) for b in behaviors} for on in off}

# %% [markdown]
# ## Keep it
#
# One folder, with presets by name, which a server offers as they are.

# %%
steering = fitted.steering.changed(presets={"letter": {"formality": 2.0}, "note": {"formality": 1.0, "brevity": 2.0}})
steering.save("out/three")
model.generate("Dear Sir,", steering=tt.Steering.load("out/three"), strength="letter", max_new_tokens=16)
