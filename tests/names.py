"""Names of trimtab that a piece of code uses, found without running it."""

import ast
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import trimtab


def used_names(code: str) -> list[str]:
    """Names behind `trimtab` as the code imports or writes them, such as `Behavior.load`; none of its objects' own."""
    return list(dict.fromkeys(".".join(chain) for chain in _chains(ast.parse(code))))


def has(name: str) -> bool:
    """Whether trimtab has it."""
    found: Any = trimtab
    for part in name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def _chains(tree: ast.Module) -> Iterator[list[str]]:
    short: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            short |= {name.asname or name.name: [] for name in node.names if name.name == "trimtab"}
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "trimtab":
            import_module(str(node.module))
            for name in node.names:
                short[name.asname or name.name] = [*str(node.module).split(".")[1:], name.name]
                yield short[name.asname or name.name]
    for node in ast.walk(tree):
        chain: list[str] = []
        part: ast.AST = node
        while isinstance(part, ast.Attribute):
            chain.insert(0, part.attr)
            part = part.value
        if chain and isinstance(part, ast.Name) and part.id in short:
            yield [*short[part.id], *chain]
