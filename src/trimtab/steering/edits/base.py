"""What all edits have in common: tensors that follow the model's device, and a form that can be stored."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from trimtab.errors import InputError

Option = bool | int | float | str


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredEdit(ABC):
    """An edit made of tensors and options: its dataclass fields, tensors first.

    `edit(h, strength)` maps activations `[B, T, d_model]` and strengths `[B or 1, A]` to `[B, T, d_model]` in h's
    dtype. Tensors are copied, so later changes to the originals have no effect. They are kept as float32 on the CPU and
    copied once to each device that is used.
    """

    kind: ClassVar[str]
    directions_in: ClassVar[tuple[str, ...]]  # tensors [·, d_model] whose rows are directions
    _placed: dict[torch.device, dict[str, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in self._tensor_names():
            value = getattr(self, name)
            if not isinstance(value, Tensor):
                raise InputError(
                    f"{self.kind}: {name} must be a torch tensor, not a {type(value).__name__}",
                    code="wrong-type",
                    field=name,
                )
            if not value.dtype.is_floating_point:
                raise InputError(
                    f"{self.kind}: {name} must hold floating-point numbers, not {value.dtype}",
                    code="wrong-type",
                    field=name,
                )
            own = value.detach().to("cpu", torch.float32, copy=True).contiguous()
            if not bool(torch.isfinite(own).all()):
                raise InputError(
                    f"{self.kind}: {name} holds a NaN, an infinite value or one beyond float32",
                    code="not-finite",
                    field=name,
                )
            object.__setattr__(self, name, own)

    @property
    def n_attributes(self) -> int:
        """A: the number of strengths that it takes, by default one for each direction."""
        return len(self.tensors[self.directions_in[0]])

    @property
    def width(self) -> int:
        """d_model."""
        directions: Tensor = getattr(self, self.directions_in[0])
        return directions.shape[-1]

    @property
    def is_odd(self) -> bool:
        """Whether −λ moves a token exactly as far the other way."""
        return False

    @abstractmethod
    def edited(self, h: Tensor, strength: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        """The edit in float32: `h [B, T, d_model]`, `strength [B or 1, A]`, tensors on h's device."""

    def __call__(self, h: Tensor, strength: Tensor) -> Tensor:
        """Edit activations.

        Raises:
            InputError: h has the wrong width.
        """
        if self.width != h.shape[-1]:
            raise InputError(
                f"the steering is {self.width} wide and the model's activations {h.shape[-1]}; "
                "was it made for another model?",
                code="wrong-shape",
                field="steering",
            )
        return self.edited(h, strength, self.on(h.device))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        held = ((f.name, getattr(self, f.name)) for f in fields(self) if not f.name.startswith("_"))
        return {name: value for name, value in held if isinstance(value, Tensor)}

    @property
    def options(self) -> dict[str, Option]:
        """Its settings besides the tensors."""
        names = (f.name for f in fields(self) if not f.name.startswith("_") and f.name not in self.tensors)
        return {name: getattr(self, name) for name in names}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], options: Mapping[str, Any]) -> Self:
        """The edit made of stored tensors and options.

        Raises:
            InputError: parts that are missing, unknown, or of the wrong type or shape.
        """
        names = {f.name for f in fields(cls) if f.init}
        misfits = sorted(names ^ {*tensors, *options})
        if misfits:
            missing = misfits[0] in names
            raise InputError(
                f"{cls.kind}: {misfits[0]} is {'missing' if missing else 'unknown'}",
                code="missing-value" if missing else "unknown-choice",
                field=misfits[0],
            )
        misplaced = sorted(set(cls._tensor_names()) ^ set(tensors))
        if misplaced:
            what = "an option" if misplaced[0] in tensors else "a tensor"
            raise InputError(f"{cls.kind}: {misplaced[0]} must be {what}", code="wrong-type", field=misplaced[0])
        return cls(**tensors, **options)

    @classmethod
    def _tensor_names(cls) -> list[str]:
        return [f.name for f in fields(cls) if f.init and f.type in (Tensor, "Tensor")]

    def shown(self, h: Tensor) -> Tensor:
        """What the edit responds to in each token, `[…, d_model]` to `[…, A]`: by default cosines with directions."""
        at = self.on(h.device)[self.directions_in[0]]
        return unit(h.float()) @ unit(at).T

    def randomised(self, seed: int) -> Self:
        """The same edit along random directions, with the same lengths and the same angles between them."""
        return self.along(turned(self.axes, seed))

    @property
    def axes(self) -> Tensor:
        """All directions that it moves tokens along, `[n, d_model]`."""
        return torch.cat([getattr(self, name) for name in self.directions_in])

    def along(self, axes: Tensor) -> Self:
        """The same edit with other `axes`, in their order."""
        parts = axes.split([len(getattr(self, name)) for name in self.directions_in])  # type: ignore[no-untyped-call]
        return self.restored({**self.tensors, **dict(zip(self.directions_in, parts, strict=True))}, self.options)

    def prepared(self, at: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that the edit computes with, derived from the stored ones, such as directions at length 1."""
        return at

    def on(self, device: torch.device) -> dict[str, Tensor]:
        """The prepared tensors on a device; copied there once."""
        if device not in self._placed:
            self._placed[device] = self.prepared({name: tensor.to(device) for name, tensor in self.tensors.items()})
        return self._placed[device]


def shaped(kind: str, name: str, tensor: Tensor, *shape: str, like: Mapping[str, int] | None = None) -> None:
    """Check a tensor's shape: its number of dimensions, and the sizes given by `like`.

    Raises:
        InputError: the shape is wrong.
    """
    known = like or {}
    fits = tensor.ndim == len(shape) and all(
        known.get(word, size) == size and size > 0 for word, size in zip(shape, tensor.shape, strict=False)
    )
    if not fits:
        wanted = ", ".join(f"{word}={known[word]}" if word in known else word for word in shape)
        raise InputError(f"{kind}: {name} must be [{wanted}], not {list(tensor.shape)}", code="wrong-shape", field=name)


def number(kind: str, name: str, value: object, wanted: str, fits: Callable[[float], bool]) -> float:
    """An option as a float, so that 1 and 1.0 are the same edit.

    Raises:
        InputError: not a number, or out of range.
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        with suppress(OverflowError):  # a whole number beyond all floats
            if fits(float(value)):
                return float(value)
    raise InputError(f"{kind}: {name} {value!r} must be {wanted}", code="out-of-range", field=name)


def turned(rows: Tensor, seed: int) -> Tensor:
    """Random rows with the lengths and angles of `rows [n, d_model]`: a uniformly random rotation of them."""
    generator = torch.Generator().manual_seed(seed)
    lower = torch.linalg.qr(rows.double().T).R.T  # rows in an orthonormal frame of what they span
    drawn = torch.linalg.qr(torch.randn(rows.shape[1], lower.shape[1], generator=generator).double())
    frame = drawn.Q * drawn.R.diagonal().sign()  # without the signs it would not be uniform (Mezzadri 2007)
    rotated: Tensor = lower @ frame.T
    return rotated.float()


def unit(rows: Tensor) -> Tensor:
    """Rows scaled to length 1, however small or large they are; a row of zeros stays zero."""
    largest = rows.abs().amax(dim=-1, keepdim=True)
    scaled = rows / torch.where(largest > 0, largest, 1.0)  # squares of 1e-25 or 1e25 do not fit float32
    lengths: Tensor = scaled.norm(dim=-1, keepdim=True)
    return scaled / lengths.clamp_min(torch.finfo(rows.dtype).tiny)


def with_norm_of(moved: Tensor, plain: Tensor) -> Tensor:
    """`moved` at the length of `plain`, token by token; MAT-Steer (2502.12446), equation 9.

    A token that was moved to 0, up to rounding, has no direction to stretch along: it stays `plain`.
    """
    now, wanted = (x.norm(dim=-1, keepdim=True) for x in (moved, plain))
    about = torch.finfo(moved.dtype)
    kept: Tensor = torch.where(now > about.eps * wanted, moved * (wanted / now.clamp_min(about.tiny)), plain)
    return kept
