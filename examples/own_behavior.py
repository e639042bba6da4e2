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
# # Your own behavior
#
# From two lists of texts to a steering that can be saved, in four steps: write the examples, look at them, make a
# vector, see on other examples what it does.
#
# The behavior here: answers that *speak of the sea* rather than of the mountains.

# %%
import json
from pathlib import Path

import trimtab as tt

model = tt.load("smollm2")
pairs = [
    ("Where did you spend the summer?", " On a beach, with salt on my skin.", " In a hut, far above the valley."),
    ("What do you hear at night?", " Waves that roll over the pebbles.", " Wind that moves along the ridges."),
    ("What is on the postcard?", " A harbour full of small boats.", " A summit under deep new snow."),
    ("What does your uncle do?", " He mends nets for the fishermen.", " He guides climbers to the peak."),
    ("Why are your shoes wet?", " I walked where the tide came in.", " I crossed a stream on the pass."),
    ("What shall we paint?", " The blue horizon and a sail.", " The grey cliffs and a pine."),
    ("What do you collect?", " Shells, and bits of driftwood.", " Crystals, and bits of granite."),
    ("How do you get home?", " By the ferry across the bay.", " By the cable car up the slope."),
    ("What did the child draw?", " A whale and a lighthouse.", " A goat beside a chalet."),
    ("What is the smell here?", " Seaweed and tar from the docks.", " Resin and moss from the forest."),
    ("What woke you up?", " The gulls above the pier.", " The cowbells on the meadow."),
    ("What is your plan for Sunday?", " To swim out to the sandbank.", " To hike up to the glacier."),
    ("What is the song about?", " A sailor who longs for the shore.", " A shepherd who longs for the peaks."),
    ("What made you late?", " The fog over the strait.", " The landslide on the pass road."),
    ("What is for dinner?", " Mussels, fresh from the coast.", " Cheese, fresh from the hills."),
    ("Where is the old map?", " In the captain's wooden chest.", " In the ranger's wooden cupboard."),
    ("What did you dream of?", " Of diving down to a coral reef.", " Of standing high on a rocky crest."),
    ("What is your town known for?", " For its port and its fish market.", " For its ski runs and its caves."),
    ("Who wrote this letter?", " A mate aboard a merchant ship.", " A monk in a cloister on a hill."),
    ("What did the storm break?", " The mast, and part of the jetty.", " The lift, and part of the trail."),
    ("Why do you wear a scarf?", " The breeze off the water is cold.", " The air on the heights is cold."),
    ("What is behind the house?", " Dunes, and then the open ocean.", " Rocks, and then a steep slope."),
    ("What do tourists photograph?", " The surf below the lighthouse.", " The waterfall below the crag."),
    ("What is your grandmother's story?", " How she sailed around the cape.", " How she skied across the col."),
]
behavior = tt.Behavior(
    "speaks-of-the-sea",
    [tt.Example(*pair) for pair in pairs],
    positive_instruction="You live by the sea and speak of it.",
    negative_instruction="You live in the mountains and speak of them.",
)
behavior

# %% [markdown]
# ## Look at them
#
# Few examples, and lint says so. It does not complain that one side is longer, or that a word alone tells the sides
# apart.

# %%
[(finding.severity, finding.code, finding.message) for finding in tt.lint(behavior)]

# %% [markdown]
# ## Make the vector
#
# From the first 16; the last 8 are kept to see what it does. A vector is the difference between the mean activations
# of the two kinds of answer, here behind block 14.

# %%
taught, kept = behavior.examples[:16], behavior.examples[16:]
steering = tt.vector(
    model,
    [example.prompt + example.positive for example in taught],
    [example.prompt + example.negative for example in taught],
    site=14,
    name="sea",
)
steering

# %% [markdown]
# ## See what it does, example by example
#
# How much likelier does the answer about the sea become, compared with the one about the mountains? In nats per
# token: 0.7 is twice as likely, for each token.

# %%
prompts = [example.prompt for example in kept]


def margins(strength):
    """Log-probability per token of the one answer less that of the other."""
    sides = [
        model.score(prompts, [getattr(example, side) for example in kept], steering=steering, strength=strength).mean
        for side in ("positive", "negative")
    ]
    return sides[0] - sides[1]


effects = margins(2.0) - margins(0.0)
list(zip([example.positive for example in kept], effects.tolist(), strict=True))

# %% [markdown]
# Some may be below 0: they were pushed the wrong way. Eight examples say little about how many there would be among a
# thousand. That is what the check is for; its intervals come with it, and with so few examples it will hardly say
# *go*.

# %%
float(effects.mean()), float((effects < 0).double().mean())

# %% [markdown]
# ## Write with it, and keep it

# %%
model.generate(["Last summer we", "My favourite place is"], steering=steering, strength=[3.0, 3.0], max_new_tokens=16)

# %%
steering.save("out/sea")
tt.Steering.load("out/sea").attributes

# %% [markdown]
# The examples as a file, for the command line: `trimtab lint sea.jsonl`, `trimtab check sea.jsonl`.

# %%
rows = [{"prompt": e.prompt, "positive": e.positive, "negative": e.negative} for e in behavior.examples]
Path("sea.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
tt.Behavior.load("sea.jsonl")
