"""Which site a layer's name or number means in other tools' files; if it is ambiguous, the caller must say."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from trimtab.errors import InputError
from trimtab.interventions import Component, Site

CONVENTIONS: Final = ("block", "hidden-states")
_OWN: Final = re.compile(r"(residual|attention|mlp)[.:](\d{1,4})")
_MODULE: Final = re.compile(r"(?:[A-Za-z_]\w*\.)+(?:layers|h|blocks|block)\.(\d{1,4})(?:\.(\w+))?")
_PARTS: Final[Mapping[str, Component]] = {
    "self_attn": "attention", "self_attention": "attention", "attention": "attention", "attn": "attention",
    "mlp": "mlp", "feed_forward": "mlp",
}  # fmt: skip
_OUTPUT: Final = re.compile(r"\.output(?:\[0\])?$")
_HOOK: Final = re.compile(r"blocks\.(\d{1,4})\.hook_(resid_pre|resid_post|in|out|attn_out|mlp_out)")
_BEFORE: Final = ("resid_pre", "in")
_HOOKS: Final[Mapping[str, Component]] = {"attn_out": "attention", "mlp_out": "mlp"}
_NUMBERED: Final = re.compile(r"(?:[A-Za-z_]+[._ \[]?)?(\d{1,4})\]?")
_FROM_THE_END: Final = re.compile(r"(?:[A-Za-z_]+[._ \[]?)?-\d{1,4}\]?")


def check_convention(convention: str | None) -> None:
    """Reject an unknown convention."""
    if convention not in (None, *CONVENTIONS):
        raise InputError(
            f"convention {convention!r} must be one of {', '.join(CONVENTIONS)}",
            code="unknown-choice",
            field="convention",
        )


def sites_of(keys: Sequence[str], convention: str | None, file: Path) -> dict[str, Site]:
    """The sites that tensor names stand for.

    Args:
        keys: the names.
        convention: what a bare number means, see `site_of`.
        file: for messages.

    Raises:
        InputError: as for `site_of`; two tensors for one site; a convention although all names are unambiguous.
    """
    sites = {key: site_of(key, convention, file) for key in keys}
    if len(set(sites.values())) < len(sites):
        twice = max(sites.values(), key=list(sites.values()).count)
        raise InputError(f"{file}: two tensors are for site {twice}", code="repeated-name", field="file")
    if convention is not None and all(named_site(key) is not None for key in keys):
        raise InputError(
            f"{file}: a convention means nothing here: the tensors are named by their sites; leave it out",
            code="conflicting-arguments",
            field="convention",
        )
    return sites


def site_of(key: str, convention: str | None, file: Path) -> Site:
    """The site that a tensor name stands for.

    Args:
        key: a site's name, see `named_site`; or a number, alone or after a word, as `14`, `layer.14` or `layer14`.
        convention: what a number means, since tools count differently: `block` for the output of block 14,
            `hidden-states` for Hugging Face's `hidden_states[14]`, the output of block 13.
        file: for messages.

    Raises:
        InputError: a name that is not understood, a number without a convention, the embedding.
    """
    own, tensor = named_site(key), f"{file}: tensor {key[:60]!r}"
    if own is not None:
        return own
    number = numbered(key)
    if number is None:
        if from_the_end(key):
            raise InputError(
                f"{tensor} is not understood: it counts from the end; save it by its number from the front",
                code="unsupported",
                field="file",
            )
        raise InputError(
            f"{tensor} is not understood; name it residual.14, attention.14 or layer.14",
            code="unsupported",
            field="file",
        )
    if convention is None:
        raise InputError(
            f"{tensor} has a number only, and tools count differently; say which convention: block (output of "
            "block k) or hidden-states (Hugging Face's hidden_states[k], the output of block k - 1)",
            code="missing-value",
            field="convention",
        )
    block = number - (convention == "hidden-states")
    if block < 0:
        raise InputError(
            f"{file}: {key} is the embedding, hidden_states[0], which is not the output of a block",
            code="no-such-site",
            field="file",
        )
    return Site(block)


def named_site(key: str) -> Site | None:
    """The site of an unambiguous name: `attention.14`; the path of a module such as `model.layers.14.mlp`, also with
    `.output` behind it, which stands for its output; TransformerLens's `blocks.14.hook_resid_pre`. None for others."""
    if own := _OWN.fullmatch(key):
        return Site(int(own.group(2)), own.group(1))  # type: ignore[arg-type]  # one of the components
    if hook := _HOOK.fullmatch(key):
        block = int(hook.group(1)) - (hook.group(2) in _BEFORE)
        return Site(block, _HOOKS.get(hook.group(2), "residual")) if block >= 0 else None
    module = _MODULE.fullmatch(module_path(key))
    if module is None or (module.group(2) and module.group(2) not in _PARTS):
        return None
    return Site(int(module.group(1)), _PARTS[module.group(2)] if module.group(2) else "residual")


def module_path(key: str) -> str:
    """The path of the module whose output is named, as nnsight does: `model.layers.14.output`."""
    return _OUTPUT.sub("", key)


def numbered(key: str) -> int | None:
    """The number of a name such as `14` or `layer.14`; None for other names."""
    match = _NUMBERED.fullmatch(key)
    return int(match.group(1)) if match else None


def from_the_end(key: str) -> bool:
    """Whether a name has a number below 0, such as `-1`."""
    return _FROM_THE_END.fullmatch(key) is not None
