"""The card of an artifact: its description for people and for the Hub."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from trimtab.steering.steering import Steering
from trimtab.texts import in_markdown


def card(steering: Steering, reliability: Mapping[str, Any] | None = None) -> str:
    """The card as Markdown with the Hub's front matter.

    Args:
        steering: the steering to describe.
        reliability: `attributes` with verdicts, each with `decision` and `sentence`, as `trimtab fit` writes them.
    """
    facts = steering.made_for
    head = ["library_name: trimtab", "tags:", "- activation-steering", "- steering-vector"]
    if facts is not None:
        head.append(f"base_model: {json.dumps(facts.id)}")
    lines = ["---", *head, "---", "", f"# Steering: {in_markdown(', '.join(steering.attributes))}", ""]
    made_for = f"`{_code(facts.id)}` (weights {facts.digest[:12]})" if facts else "a model that was not recorded"
    lines += [f"Edits activations of {made_for} while it runs; its weights stay as they are.", ""]
    lines += ["| attribute | default strength |", "| --- | --- |"]
    lines += [f"| {in_markdown(name)} | {strength:g} |" for name, strength in steering.attributes.items()]
    lines += ["", "| site | edit |", "| --- | --- |"]
    lines += [f"| {site} | {', '.join(kinds)} |" for site, kinds in steering.kinds.items()]
    lines += [f"| in front of the prompt | {in_markdown(text)} |" for text, _ in steering.prompts.values()]
    for name, several in steering.conditions.items():
        bounds = (
            f"at site {c.site} has a cosine {'above' if c.above else 'below'} {c.threshold:.3g} with a stored direction"
            for c in several
        )
        lines += ["", f"{in_markdown(name)} acts on prompts whose mean activation {', and '.join(bounds)}."]
    lines += ["", f"Method: {in_markdown(steering.method)}.", ""]
    if steering.presets:
        lines += ["Presets: " + ", ".join(f"`{_code(name)}`" for name in steering.presets) + ".", ""]
    lines += list(_verdicts(reliability or {}))
    lines += ["```python", "import trimtab as tt", "", 'steering = tt.Steering.load("this folder")']
    lines += [f"model = tt.load({json.dumps(facts.id if facts else 'the model')})"]
    lines += ['model.generate("…", steering=steering)', "```", "", f"Identity: `{steering.id}`", ""]
    return "\n".join(lines)


def _verdicts(reliability: Mapping[str, Any]) -> Iterator[str]:
    attributes = reliability.get("attributes")
    items = attributes.items() if isinstance(attributes, Mapping) else ()
    verdicts = {name: v for name, v in items if isinstance(v, Mapping) and "decision" in v}
    if verdicts:
        yield "Verdicts of `trimtab check` on unseen examples:"
        yield ""
        for name, verdict in verdicts.items():
            sentence = in_markdown(str(verdict.get("sentence", "")))
            yield f"- **{in_markdown(str(verdict['decision']))}**, {in_markdown(name)}: {sentence}"
        yield ""


def _code(words: str) -> str:
    return " ".join(words.split()).replace("`", "'")
