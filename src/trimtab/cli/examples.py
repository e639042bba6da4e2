"""The example with which the help of every verb ends."""

from collections.abc import Mapping
from typing import Final

import typer
from typer.main import get_command_name

EXAMPLES: Final[Mapping[str, str]] = {
    "advise": "trimtab advise pairs.jsonl --minutes 20 --out out/advice",
    "audit export": "trimtab audit export --out audit.jsonl",
    "audit key": "trimtab audit key",
    "audit prove": "trimtab audit prove 12",
    "audit publish": "trimtab audit publish --out checkpoint.txt",
    "audit show": "trimtab audit show cheerful",
    "audit verify": "trimtab audit verify --checkpoint checkpoint.txt",
    "brief": "trimtab brief out/check --out brief.pdf --lang en",
    "check": "trimtab check pairs.jsonl --model org/name --out out/mine",
    "convert": "trimtab convert my-steering vector.gguf",
    "convert-data": "trimtab convert-data theirs.csv pairs.jsonl",
    "doctor": "trimtab doctor",
    "draft": 'trimtab draft rhymes --description "speaks in rhymes"',
    "evaluate": "trimtab evaluate --method mean-difference --method pca --task behavior:pairs.jsonl",
    "feedback export": "trimtab feedback export --out feedback.jsonl",
    "fit": "trimtab fit sentiment formality --out my-steering",
    "generate": 'trimtab generate "My day was" --steering my-steering --strength sentiment=1',
    "init": "trimtab init my-project",
    "judge": "trimtab judge answers.csv --endpoint https://host/v1 --endpoint-model NAME",
    "keys create": "trimtab keys create app --scope infer",
    "keys list": "trimtab keys list",
    "keys revoke": "trimtab keys revoke app",
    "lint": "trimtab lint pairs.jsonl --strict",
    "metrics check": "trimtab metrics check metrics.toml",
    "metrics import": "trimtab metrics import metrics.toml",
    "metrics list": "trimtab metrics list",
    "open": "trimtab open out/check",
    "predict": "trimtab predict pairs.jsonl --site 10-18",
    "pull": "trimtab pull org/name my-steering",
    "push": "trimtab push my-steering org/name",
    "release create": "trimtab release create cheerful --treatment steerings/warm --check checks/warm",
    "release dry-run": "trimtab release dry-run cheerful",
    "release estimate": "trimtab release estimate cheerful --policy uniform",
    "release finish": "trimtab release finish cheerful --keep treatment",
    "release history": "trimtab release history cheerful",
    "release list": "trimtab release list",
    "release off": 'trimtab release off --all --why "wrong answers"',
    "release on": "trimtab release on",
    "release pause": "trimtab release pause cheerful",
    "release promote": "trimtab release promote cheerful --to 25",
    "release resume": "trimtab release resume cheerful",
    "release rollback": 'trimtab release rollback cheerful --why "complaints"',
    "release start": "trimtab release start cheerful",
    "release status": "trimtab release status cheerful",
    "release watch": "trimtab release watch --once",
    "serve": "trimtab serve --steerings steerings --no-auth",
    "store expire": "trimtab store expire --keep 30d",
    "store exposures": "trimtab store exposures user-7",
    "store forget": "trimtab store forget user-7",
    "store key": "trimtab store key",
    "store migrate": "trimtab store migrate",
    "study": "trimtab study sentiment formality null --site 10-18",
    "tune": "trimtab tune my-steering --task behavior:pairs.jsonl",
    "vllm": "trimtab vllm org/name --steerings steerings --port 8000",
}
"""By the words of the verb."""


def show_examples(app: typer.Typer, above: str = "") -> None:
    """End the help of each verb with its example.

    Args:
        app: to which all verbs have been added.
        above: the words in front of its verbs.
    """
    for verb in app.registered_commands:
        name = verb.name or get_command_name(getattr(verb.callback, "__name__", ""))
        verb.epilog = f"Example: {EXAMPLES[above + name]}"
    for group in app.registered_groups:
        if group.typer_instance is not None:
            show_examples(group.typer_instance, f"{above}{group.name} ")
