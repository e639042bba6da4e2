"""`trimtab serve`."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from trimtab.cli import options, serve_classifier, serve_judge, serve_upstream
from trimtab.cli.stores import days, needed
from trimtab.errors import InputError

if TYPE_CHECKING:
    from trimtab.clients.webhook import Webhook
    from trimtab.interventions import Engine
    from trimtab.serving.engines.process import ModelToServe
    from trimtab.serving.live import Operations
    from trimtab.serving.monitoring import Watching
    from trimtab.serving.registry import Registry
    from trimtab.serving.settings import Settings
    from trimtab.serving.vocabulary import Vocabulary

Steerings = Annotated[
    Path | None, typer.Option(help="Folder that holds folders of steerings; requests name them as MODEL@NAME.")
]
KeysFile = Annotated[
    Path | None,
    typer.Option("--keys", help="Where keys are kept; by default TRIMTAB_KEYS, else ~/.config/trimtab/keys.json."),
]


def serve(
    context: typer.Context,
    model: options.ModelId = "smollm2",
    revision: options.Revision = None,
    adapter: options.Adapter = None,
    dtype: options.Dtype = "auto",
    device: options.Device = None,
    device_map: options.DeviceMap = None,
    quantisation: options.Quantisation = None,
    upstream: serve_upstream.Upstream = None,
    upstream_key_env: serve_upstream.UpstreamKeyEnv = None,
    tokenizer: serve_upstream.Tokenizer = None,
    steerings: Steerings = None,
    name: Annotated[str | None, typer.Option(help="Name by which requests ask for the model.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    keys: KeysFile = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Ask for no keys; on loopback alone.")] = False,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Serve steerings made for other weights of the same shapes.")
    ] = False,
    max_running: Annotated[int, typer.Option(min=1, help="Requests that share a batch.")] = 16,
    requests_per_minute: Annotated[
        int, typer.Option(min=1, help="Requests that a key may make each minute; without keys, all callers together.")
    ] = 600,
    threads: options.Threads = None,
    playground: Annotated[
        bool, typer.Option("--playground/--no-playground", help="A page to chat on, at the server's address.")
    ] = True,
    console_: Annotated[
        bool, typer.Option("--console/--no-console", help="A page for whoever is on duty, at /console.")
    ] = True,
    store: Annotated[
        str | None,
        typer.Option(
            help="Follow the releases of this store, and keep who got what: a folder (its operations.db), a file, or "
            "a postgresql:// URL. Without it nothing is followed or kept."
        ),
    ] = None,
    store_text: Annotated[
        bool,
        typer.Option(
            "--store-text", help="Keep prompts and answers too, encrypted where TRIMTAB_TEXT_KEY names a file of keys."
        ),
    ] = False,
    keep: Annotated[
        str | None, typer.Option(help="How long texts are kept, such as 30d; older ones are removed every hour.")
    ] = None,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that the last state is good for when the store is lost.")
    ] = 60.0,
    watch_every: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds between looks at experiments, on which guardrails act; 0 leaves that to others.",
        ),
    ] = 60.0,
    webhook: Annotated[
        str | None,
        typer.Option(
            help="URL that is told of what guardrails do, signed with the secret in TRIMTAB_WEBHOOK_SECRET_FILE."
        ),
    ] = None,
    shadow: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of steered answers that are scored with and without the steering, from 0 to 1."
        ),
    ] = 0.0,
    shadow_max_kl: Annotated[
        float | None, typer.Option(help="Alarm once their mean divergence is above so many nats per token.")
    ] = None,
    canary: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder that trimtab check --steering wrote: its rows are scored again on what is live. Repeatable."
        ),
    ] = None,
    canary_every: Annotated[
        float, typer.Option(help="Minutes between two looks of a canary; at what comes live it looks at once.")
    ] = 60.0,
    figures_since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Read monitoring's figures back from the store from this moment on, UTC; by default all.",
        ),
    ] = None,
    judge: serve_judge.Judge = None,
    judge_model: serve_judge.JudgeModel = None,
    key_env: options.KeyEnv = None,
    judge_behavior: serve_judge.JudgeBehavior = None,
    judge_share: serve_judge.JudgeShare = 0.05,
    judge_per_minute: serve_judge.JudgePerMinute = 20.0,
    judge_a_day: serve_judge.JudgeADay = 1000,
    judge_anchors: serve_judge.JudgeAnchors = None,
    classifier: serve_classifier.Classifier = None,
    classifier_share: serve_classifier.ClassifierShare = 1.0,
    classifier_per_minute: serve_classifier.ClassifierPerMinute = 300.0,
) -> None:
    """Answer as OpenAI's API does, with a steering for every request."""
    from trimtab.serving.keys import KeyFile, default_file
    from trimtab.serving.registry import Registry
    from trimtab.serving.settings import Limits, Settings

    if upstream:
        of_model = ("model", "revision", "adapter", "dtype", "device", "device_map", "quantisation")
        local = (*of_model, "threads", "max_running")
        options.not_typed(context, local, "means nothing with --upstream; leave one of them out")
    if judge is None:
        of_judge = ("judge_share", "judge_per_minute", "judge_a_day")
        options.not_typed(context, of_judge, "belongs to --judge, which is missing")
    if not classifier:
        of_classifier = ("classifier_share", "classifier_per_minute")
        options.not_typed(context, of_classifier, "belongs to --classifier, which is missing")
    registry = Registry(steerings)
    passed_on = None
    if upstream and (shadow or canary):
        raise InputError(
            "canary and shadow score answers, which upstream servers do not; leave them out",
            code="conflicting-arguments",
            field="upstream",
        )
    if upstream:
        passed_on = serve_upstream.passed_on(upstream, upstream_key_env, tokenizer, registry)
    elif tokenizer is not None or upstream_key_env is not None:
        raise InputError(
            "a tokenizer and a key for upstream servers belong to an upstream", code="missing-value", field="upstream"
        )
    called = name or (passed_on[2] if passed_on else Path(model).name if Path(model).exists() else model)
    limits = Limits(requests_per_minute=requests_per_minute)
    settings = Settings(called, host, no_auth, allow_mismatch, playground=playground, console=console_, limits=limits)
    kept = None if no_auth else KeyFile(keys or default_file())
    if kept is not None and not kept.keys:
        raise InputError(
            f"there is no key in {kept.file}; make one with trimtab keys create NAME, or give --no-auth on loopback",
            code="missing-value",
            field="keys",
        )
    console = Console(stderr=True, soft_wrap=True)
    for folder, fault in registry.faults.items():
        console.print(f"left out: {folder}: {fault}", highlight=False, markup=False)
    watching = _watching(shadow, shadow_max_kl, canary or [], canary_every, figures_since)
    if figures_since is not None and store is None:
        raise InputError("figures are read back from a store; name it", code="missing-value", field="store")
    if webhook is not None and store is None:
        raise InputError("guardrails act on releases of a store; name it", code="missing-value", field="store")
    operations = _operations(
        store, settings, registry, store_text, keep, grace=grace, watch_every=watch_every, webhook=_webhook(webhook)
    )
    serve_judge.add_judge(
        operations, judge, judge_model, key_env, judge_behavior, judge_share, judge_per_minute, judge_a_day,
        judge_anchors,
    )  # fmt: skip
    serve_classifier.add_classifiers(operations, classifier or [], classifier_share, classifier_per_minute, console)
    with TemporaryDirectory(prefix="trimtab-") as work:
        if passed_on is not None:
            engine: Engine = passed_on[0]
            vocabulary: Vocabulary | None = passed_on[1]
        else:
            from trimtab.serving.engines.process import ModelToServe

            source = options.model_source(model, revision, adapter, dtype, device, device_map, quantisation)
            wanted = ModelToServe(source, max_running, threads)
            engine, vocabulary = _loaded(wanted, registry, Path(work), console)
        from trimtab.serving.app import create_app
        from trimtab.serving.listening import listen
        from trimtab.serving.logs import logger
        from trimtab.serving.monitoring import Monitor

        acting = () if operations is None else (operations.watching.alarmed,)
        monitor = Monitor(engine, registry, watching, logger(sys.stderr), operations, acting)
        app = create_app(
            engine, registry, kept, settings, vocabulary=vocabulary, operations=operations, monitor=monitor
        )
        listen(app, host, port, console, playground=playground, on_duty=console_)


def _loaded(
    model: "ModelToServe", registry: "Registry", work: Path, console: Console
) -> "tuple[Engine, Vocabulary | None]":
    """The engine that runs a model in a process of its own, and the model's vocabulary.

    Raises:
        InputError: the model cannot be loaded or served.
    """
    from trimtab.serving.engines.process import ProcessEngine
    from trimtab.serving.vocabulary import FileVocabulary

    console.print(f"loading {model.source.source} …", highlight=False, markup=False)
    engine = ProcessEngine(model, registry.folder_of)
    if note := engine.started.capabilities.note:
        console.print(f"note: {note}", highlight=False, markup=False)
    if not engine.started.tokenizer:
        return engine, None
    file = work / "tokenizer.json"
    file.write_text(engine.started.tokenizer, encoding="utf-8")
    return engine, FileVocabulary(file, engine.started.first)


def _webhook(url: str | None) -> "Webhook | None":
    """Who is told of decisions; what cannot be delivered is in the log.

    Raises:
        InputError: the URL is none, or there is no secret.
    """
    if url is None:
        return None
    from trimtab.clients.webhook import Webhook, secret_from
    from trimtab.serving.logs import logger

    log = logger(sys.stderr)
    return Webhook(url, secret_from(), lambda event, why: log.error("webhook_failed", decision=event, reason=why))


def _watching(
    shadow: float, max_kl: float | None, canaries: list[Path], every: float, since: datetime | None
) -> "Watching":
    """What is watched.

    Raises:
        InputError: a number out of range, a bound without shadow, a folder that holds no check of a steering.
    """
    from trimtab.serving.monitoring import Checked, Watching

    if max_kl is not None and not shadow:
        raise InputError(
            "shadow_max_kl bounds the divergence of answers that are scored; give a share of them as shadow",
            code="conflicting-arguments",
            field="shadow_max_kl",
        )
    watched = tuple(Checked.load(folder) for folder in canaries)
    began = 0.0 if since is None else since.replace(tzinfo=UTC).timestamp()
    return Watching(shadow, watched, every, max_kl, since=began)


def _operations(
    place: str | None, settings: "Settings", registry: "Registry", texts: bool, keep: str | None, **timing: Any
) -> "Operations | None":
    """Releases and exposures, where there is a store.

    Raises:
        InputError: there is no such store, or it is of another version; what belongs to one is given without.
        TrimtabError: it cannot be reached.
    """
    if place is None:
        if texts or keep is not None:
            raise InputError("texts are kept in a store; name it", code="missing-value", field="store")
        return None
    if keep is not None and not texts:
        raise InputError("no texts are kept; ask for that too", code="conflicting-arguments", field="store_text")
    keep_days = None if keep is None else days(keep, "keep")
    with needed():
        from trimtab.operations import OffSwitch, Store
        from trimtab.serving.live import Operations
    from trimtab.serving.logs import logger

    off = OffSwitch.beside(place)
    return Operations(
        Store(place), settings.model, registry, off, logger(sys.stderr), other_weights=settings.other_weights,
        texts=texts, keep_days=keep_days, **timing,
    )  # fmt: skip
