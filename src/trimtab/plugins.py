"""What other packages add by entry point, beside what comes with trimtab."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, TypeVar, cast

from trimtab.errors import Code, InputError
from trimtab.nearest import meant

T = TypeVar("T")


def plugin_names(group: str, built_in: Mapping[str, object]) -> tuple[str, ...]:
    """The built-in ones, then those of installed packages.

    Args:
        group: of entry points.
        built_in: by name.
    """
    return (*built_in, *sorted({point.name for point in entry_points(group=group)} - set(built_in)))


def plugin(
    group: str, built_in: Mapping[str, type[T]], name: str, base: type[Any], kind: str, *, wanted: str, code: Code
) -> type[T]:
    """The class of a name.

    Args:
        group: of entry points.
        built_in: by name; they come first.
        name: that is looked for.
        base: of all of them.
        kind: what they are, such as `method`; also the field of errors.
        wanted: what a package must register, in words.
        code: of the error where there is none.

    Raises:
        InputError: there is none, or what a package registers under this name cannot be loaded or is no such class.
    """
    if name in built_in:
        return built_in[name]
    point = next((point for point in entry_points(group=group) if point.name == name), None)
    if point is None:
        names = plugin_names(group, built_in)
        near, known = meant(name, names), ", ".join(names)
        raise InputError(f"no {kind} is called {name!r}; {near}there are {known}", code=code, field=kind)
    try:
        loaded = point.load()
    except Exception as error:
        raise InputError(
            f"{kind} {name!r} of {point.value} cannot be loaded: {error}", code="unsupported", field=kind
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise InputError(f"{kind} {name!r}: {point.value} is not {wanted}", code="wrong-type", field=kind)
    return cast("type[T]", loaded)
