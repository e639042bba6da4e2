"""`trimtab audit`."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Annotated

import typer

from trimtab.cli.options import Json
from trimtab.cli.stores import Place, needed, opened, table
from trimtab.errors import InputError

audit = typer.Typer(
    no_args_is_help=True,
    help="Who changed what, when and why; and whether anybody changed that record afterwards.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key", help="File of the signing key; by default TRIMTAB_AUDIT_KEY, else ~/.config/trimtab/audit.key."
    ),
]


@audit.command()
def show(
    subject: Annotated[str | None, typer.Argument(help="Only changes of this, such as a release's name.")] = None,
    first: Annotated[int, typer.Option(min=0, help="Number of the first entry.")] = 0,
    store: Place = None,
    json_: Json = False,
) -> None:
    """The changes in order."""
    with opened(store) as kept:
        from trimtab.operations import entries

        found = list(entries(kept, first, subject))
    if json_:
        typer.echo(json.dumps([entry.record for entry in found]))
        return
    rows = [(str(e.number), e.time[:19], e.who, e.what, e.subject, e.why) for e in found]
    table(("entry", "time (UTC)", "who", "what", "subject", "why"), rows)


@audit.command()
def verify(
    checkpoint: Annotated[
        str | None, typer.Option(help="File of a checkpoint that `publish` wrote, kept where nobody can change it.")
    ] = None,
    verifier: Annotated[
        str | None, typer.Option(help="Public key of who signed it, as `key` showed it; by default that of --key.")
    ] = None,
    key: KeyFile = None,
    store: Place = None,
    json_: Json = False,
) -> None:
    """Compute all hashes anew; with a checkpoint nothing that was there then can have been changed unseen. 4 if not."""
    with opened(store) as kept:
        from trimtab.operations import Signer, Verifier, published
        from trimtab.operations import verify as verified
        from trimtab.operations.audit.signing import default_key

        if checkpoint is None:
            found = verified(kept)
        else:
            public = Verifier.parse(verifier) if verifier else Signer.load(key or default_key()).verifier
            found = verified(kept, *published(checkpoint, public))
    if json_:
        typer.echo(json.dumps(found.record))
    elif found.fault is not None:
        typer.echo(f"does not hold: {found.fault}")
    else:
        against = (
            f"and those of {found.checkpoint.time} are as published" if found.checkpoint else "by their own hashes"
        )
        typer.echo(f"holds: {found.size} entries, {against}; root {found.root.hex()}")
    if not found.holds:
        raise typer.Exit(4)


@audit.command()
def prove(
    entry: Annotated[int | None, typer.Argument(min=0, help="Number of the entry.")] = None,
    since: Annotated[
        int | None, typer.Option(min=0, help="Instead: that the audit still begins with its first so many entries.")
    ] = None,
    store: Place = None,
) -> None:
    """A proof by RFC 6962, as JSON: that an entry is in the audit, or that nothing of it was changed since."""
    if (entry is None) == (since is None):
        raise InputError("give the number of an entry, or --since", code="conflicting-arguments", field="entry")
    with opened(store) as kept:
        from trimtab.operations.audit.log import proof_of_consistency, proof_of_inclusion

        if entry is not None:
            size, root, path, content = proof_of_inclusion(kept, entry)
            said = {"kind": "inclusion", "entry": entry, "size": size, "root": root.hex(), "content": content}
        else:
            assert since is not None
            size, then, root, path = proof_of_consistency(kept, since)
            said = {"kind": "consistency", "first_size": since, "first_root": then.hex(), "size": size,
                    "root": root.hex()}  # fmt: skip
    typer.echo(json.dumps(said | {"path": [one.hex() for one in path]}))


@audit.command()
def export(
    out: Annotated[Path, typer.Option(help="File to write; one entry a line, exactly as it was hashed.")],
    store: Place = None,
    json_: Json = False,
) -> None:
    """Write all entries to a file, to be kept or verified elsewhere."""
    with opened(store) as kept:
        from trimtab.operations.audit.log import contents
        from trimtab.storage.atomic import whole

        n = 0
        try:
            with whole(out) as new, new.open("w", encoding="utf-8", newline="\n") as file:
                for _, content in contents(kept):
                    file.write(content + "\n")
                    n += 1
        except OSError as error:
            why = error.strerror or error
            raise InputError(f"{out} cannot be written: {why}", code="unwritable-file", field="out") from error
    typer.echo(json.dumps({"file": str(out), "entries": n}) if json_ else f"{n} entries in {out}")


@audit.command(name="key")
def key_(
    name: Annotated[str, typer.Option(help="Of the signer, one word.")] = "trimtab",
    key: KeyFile = None,
    json_: Json = False,
) -> None:
    """Make a key to sign checkpoints with, and show its public half, by which others verify them."""
    with needed():
        from trimtab.operations import Signer
        from trimtab.operations.audit.signing import default_key

    file = key or default_key()
    public = str(Signer.create(file, name).verifier)
    typer.echo(json.dumps({"file": str(file), "verifier": public}) if json_ else public)


@audit.command()
def publish(
    out: Annotated[str, typer.Option(help="File, or a URL to PUT to, that nobody of the store can change.")],
    key: KeyFile = None,
    store: Place = None,
    json_: Json = False,
) -> None:
    """Verify the audit, sign its size and root, and put that, with the entries' hashes (OUT.leaves), somewhere else."""
    with opened(store) as kept:
        from trimtab.operations import Signer
        from trimtab.operations import publish as published
        from trimtab.operations.audit.signing import default_key

        made = published(kept, Signer.load(key or default_key()), out)
    root = b64encode(made.root).decode()
    document = {"out": out, "origin": made.origin, "size": made.size, "root": root, "time": made.time}
    typer.echo(json.dumps(document) if json_ else f"{made.size} entries, root {root}, signed by {made.origin}: {out}")
