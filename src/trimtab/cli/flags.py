"""Which flag of a command belongs to the field of an error, of which the library knows the argument alone."""

from collections.abc import Collection, Mapping
from typing import Final

from trimtab.errors import TrimtabError

# By field, or what it begins with before a dot. Of several flags those are named that the command has.
FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "accepted": ("--accepted",),
    "adapt": ("--adapt",),
    "adapter": ("--adapter",),
    "all": ("--all",),
    "allow_mismatch": ("--allow-mismatch",),
    "alpha": ("--alpha",),
    "arms": ("--arm",),
    "auto_promote": ("--auto-promote",),
    "blocks": ("--blocks",),
    "budget": ("--max-requests", "--max-tokens", "--max-cost"),
    "by": ("--by",),
    "calibration": ("--calibration",),
    "canary": ("--canary",),
    "canary_every": ("--canary-every",),
    "chat_template": ("--chat-template",),
    "check": ("--check",),
    "checkpoint": ("--checkpoint",),
    "condition": ("--condition",),
    "control": ("--control",),
    "convention": ("--convention",),
    "decide_by": ("--decide-by",),
    "description": ("--description",),
    "device": ("--device",),
    "dtype": ("--dtype",),
    "endpoint": ("--endpoint", "--endpoint-model", "--judge", "--judge-model"),
    "endpoint.model": ("--endpoint-model", "--judge-model"),
    "endpoint.timeout": ("--timeout",),
    "endpoint.url": ("--endpoint", "--judge"),
    "epoch_visits": ("--epoch-visits",),
    "equal_dose": ("--equal-dose",),
    "evaluation": ("--eval",),
    "explore": ("--explore",),
    "factorial": ("--factorial",),
    "factors": ("--factorial",),
    "fields": ("--positive", "--negative", "--prompt", "--text", "--label"),
    "file": ("--out",),
    "folder": ("--out",),
    "format": ("--format",),
    "generate": ("--generate",),
    "guardrails": ("--guardrail",),
    "half_life": ("--half-life",),
    "hint": ("--hint",),
    "host": ("--host",),
    "instructions": ("--positive-instruction", "--negative-instruction"),
    "keep": ("--keep",),
    "judge_a_day": ("--judge-a-day",),
    "judge_anchors": ("--judge-anchors",),
    "judge_per_minute": ("--judge-per-minute",),
    "judge_share": ("--judge-share",),
    "key": ("--key",),
    "key_env": ("--key-env",),
    "keys": ("--keys",),
    "labelled": ("--labelled",),
    "max_age": ("--max-age",),
    "max_anti_steerable": ("--max-anti-steerable",),
    "max_capability_loss": ("--max-capability-loss",),
    "max_kl": ("--max-kl",),
    "max_new_tokens": ("--max-new-tokens",),
    "method": ("--method",),
    "metric": ("--metric",),
    "min_effect": ("--min-effect",),
    "min_units": ("--min-units",),
    "model": ("--model",),
    "models": ("--model",),
    "n": ("--n",),
    "name": ("--name",),
    "names": ("--name",),
    "no_auth": ("--no-auth", "--host"),
    "options": ("--set",),
    "out": ("--out",),
    "parallel": ("--parallel",),
    "people": ("--people",),
    "policy": ("--policy",),
    "port": ("--port",),
    "prices": ("--prompt-price", "--answer-price"),
    "prompt_type": ("--prompt-type",),
    "prompt_types": ("--prompt-type",),
    "read": ("--read",),
    "repeats": ("--repeats",),
    "requests_per_minute": ("--rate",),
    "revision": ("--revision",),
    "region": ("--region",),
    "rubric": ("--rubric",),
    "scale": ("--scale",),
    "scope": ("--scope",),
    "seed": ("--seed",),
    "shadow": ("--shadow",),
    "shadow_max_kl": ("--shadow-max-kl",),
    "site": ("--site",),
    "skip_bad": ("--skip-bad",),
    "stages": ("--stages",),
    "steering": ("--steering",),
    "steerings": ("--steerings",),
    "store": ("--store",),
    "store_text": ("--store-text",),
    "strength": ("--strength",),
    "studies": ("--fit",),
    "temperature": ("--temperature",),
    "text_key": ("--text-key",),
    "to": ("--to",),
    "traffic": ("--traffic",),
    "train": ("--train",),
    "treatment": ("--treatment",),
    "unchecked": ("--unchecked",),
    "ungated": ("--ungated",),
    "verifier": ("--verifier",),
    "view": ("--view",),
    "why": ("--why",),
    "webhook": ("--webhook",),
    "without_unit": ("--without-unit",),
    "workers": ("--workers",),
    "writer": ("--model", "--endpoint"),
}


def with_flags(error: TrimtabError, known: Collection[str]) -> str:
    """The message of an error, with the flags of its field behind it.

    Args:
        error: of the library, or of the command line, which names flags itself.
        known: the flags of the command that was called.
    """
    said = str(error)
    if error.field is None:
        return said
    flags = FLAGS.get(error.field) or FLAGS.get(error.field.partition(".")[0], ())
    named = [flag for flag in flags if flag in known]
    if not named or any(flag in said.split() for flag in named):
        return said
    return f"{said} ({', '.join(named)})"
