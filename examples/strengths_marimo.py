"""Play with strengths: `marimo run examples/strengths_marimo.py`; as a script, one pass without anything to move."""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import marimo as mo

    import trimtab as tt

    model = tt.load("smollm2")
    good = ["What a wonderful day!", "This is a treat.", "I love every minute of it.", "She is a joy to work with."]
    bad = ["What a dreadful day!", "This is a chore.", "I hate every minute of it.", "She is a pain to work with."]
    steering = tt.vector(model, good, bad, site=14, name="delight")
    return mo, model, steering


@app.cell
def _(mo):
    strength = mo.ui.slider(start=-4.0, stop=4.0, step=0.5, value=2.0, label="strength", show_value=True)
    prompt = mo.ui.text(value="My day at work was", label="prompt", full_width=True)
    scope = mo.ui.dropdown(["all", "prompt", "last", "generated"], value="all", label="which tokens")
    mo.vstack([mo.md("# Strengths"), prompt, strength, scope])
    return prompt, scope, strength


@app.cell
def _(mo, model, prompt, scope, steering, strength):
    plain, steered = model.generate(
        [prompt.value] * 2,
        steering=steering,
        strength=[0.0, strength.value],
        scope=scope.value,
        max_new_tokens=24,
    )
    mo.hstack(
        [mo.md(f"**unsteered**\n\n{prompt.value}{plain}"), mo.md(f"**steered**\n\n{prompt.value}{steered}")],
        widths="equal",
    )
    return plain, steered


@app.cell
def _(mo, model, prompt, steering):
    words = (" great", " fine", " dull", " terrible")
    strengths = [-4.0, -2.0, 0.0, 2.0, 4.0]
    table = [
        {
            "strength": value,
            **dict(
                zip(
                    words,
                    model.score([prompt.value] * 4, list(words), steering=steering, strength=value).total.tolist(),
                    strict=True,
                )
            ),
        }
        for value in strengths
    ]
    mo.vstack([mo.md("Log-probability of a word behind the prompt, in nats:"), mo.ui.table(table, selection=None)])
    return (table,)


if __name__ == "__main__":
    app.run()
