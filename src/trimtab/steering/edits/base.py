"""What every edit has in common: tensors that follow the module, and a form that can be stored."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from trimtab.errors import InputError

Option = bool | int | float | str


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredEdit(ABC):
    """An edit made of tensors and options: its dataclass fields, tensors first.

    `edit(h, strength)` maps activations `[B, T, d_model]` and strengths `[B or 1, A]` to `[B, T, d_model]` in h's
    dtype. Tensors are kept as float32 and copied once to each device that asks.
    """

    kind: ClassVar[str]
    directions_in: ClassVar[tuple[str, ...]]  # tensors [·, d_model] whose rows are directions
    _placed: dict[torch.device, dict[str, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, tensor in self.tensors.items():
            if not tensor.dtype.is_floating_point:
                raise InputError(f"{self.kind}: {name} must hold floating-point numbers, not {tensor.dtype}")
            if not bool(torch.isfinite(tensor).all()):
                raise InputError(f"{self.kind}: {name} holds a NaN or an infinite value")
            object.__setattr__(self, name, tensor.detach().float().contiguous())

    @property
    def n_attributes(self) -> int:
        """A: strengths that it takes, by default a direction for each."""
        return len(self.tensors[self.directions_in[0]])

    @property
    def width(self) -> int:
        """d_model."""
        return self.tensors[self.directions_in[0]].shape[-1]

    @property
    def odd(self) -> bool:
        """Whether −λ moves a token as far the other way."""
        return False

    @abstractmethod
    def edited(self, h: Tensor, strength: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        """The edit in float32: `h [B, T, d_model]`, `strength [B or 1, A]`, tensors on h's device."""

    def __call__(self, h: Tensor, strength: Tensor) -> Tensor:
        """Edit activations.

        Raises:
            InputError: h has another width.
        """
        if self.width != h.shape[-1]:
            raise InputError(
                f"the steering is {self.width} wide and the model's activations {h.shape[-1]}; "
                "was it made for another model?"
            )
        return self.edited(h, strength, self.on(h.device))

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        held = ((f.name, getattr(self, f.name)) for f in fields(self) if not f.name.startswith("_"))
        return {name: value for name, value in held if isinstance(value, Tensor)}

    @property
    def options(self) -> dict[str, Option]:
        """Everything else that decides what it does."""
        names = (f.name for f in fields(self) if not f.name.startswith("_") and f.name not in self.tensors)
        return {name: getattr(self, name) for name in names}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], options: Mapping[str, Any]) -> Self:
        """The edit of stored parts.

        Raises:
            InputError: parts that are missing, unknown, of odd types or shapes.
        """
        wanted = [f for f in fields(cls) if f.init]
        names, given = {f.name for f in wanted}, {*tensors, *options}
        if names != given:
            odd = sorted(names ^ given)
            raise InputError(f"{cls.kind}: {odd[0]} is {'missing' if odd[0] in names else 'unknown'}")
        for f in wanted:
            is_tensor = f.type in (Tensor, "Tensor")
            if is_tensor is not (f.name in tensors):
                raise InputError(f"{cls.kind}: {f.name} must be {'a tensor' if is_tensor else 'an option'}")
        return cls(**tensors, **options)

    def shown(self, h: Tensor) -> Tensor:
        """What the edit sees in each token, `[…, d_model]` to `[…, A]`: here the cosine with each direction, −1…1."""
        at = self.on(h.device)[self.directions_in[0]]
        return unit(h.float()) @ unit(at).T

    def randomised(self, seed: int) -> Self:
        """The same edit along random directions: each as long as before, with the same angles between them."""
        generator = torch.Generator().manual_seed(seed)
        stacked = torch.cat([getattr(self, name) for name in self.directions_in]).double()
        lower = torch.linalg.qr(stacked.T).R.T  # rows in an orthonormal frame of what they span
        drawn = torch.linalg.qr(torch.randn(stacked.shape[1], lower.shape[1], generator=generator).double())
        frame = drawn.Q * drawn.R.diagonal().sign()  # without the signs it would not be uniform (Mezzadri 2007)
        parts = (lower @ frame.T).float().split([len(getattr(self, name)) for name in self.directions_in])
        return self.restored({**self.tensors, **dict(zip(self.directions_in, parts, strict=True))}, self.options)

    def prepared(self, at: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the edit computes with, from its tensors as they are stored; such as directions at length 1."""
        return at

    def on(self, device: torch.device) -> dict[str, Tensor]:
        """The prepared tensors where the module is; copied there once."""
        if device not in self._placed:
            self._placed[device] = self.prepared({name: tensor.to(device) for name, tensor in self.tensors.items()})
        return self._placed[device]


def shaped(kind: str, name: str, tensor: Tensor, *shape: str, like: Mapping[str, int] | None = None) -> None:
    """Check a tensor's shape: its number of dimensions, and the sizes that `like` names.

    Raises:
        InputError: it has another shape.
    """
    known = like or {}
    fits = tensor.ndim == len(shape) and all(
        known.get(word, size) == size and size > 0 for word, size in zip(shape, tensor.shape, strict=False)
    )
    if not fits:
        wanted = ", ".join(f"{word}={known[word]}" if word in known else word for word in shape)
        raise InputError(f"{kind}: {name} must be [{wanted}], not {list(tensor.shape)}")


def unit(rows: Tensor) -> Tensor:
    """Rows at length 1; a row of zeros stays one."""
    lengths: Tensor = rows.norm(dim=-1, keepdim=True)
    return rows / lengths.clamp_min(torch.finfo(rows.dtype).tiny)


def with_norm_of(moved: Tensor, plain: Tensor) -> Tensor:
    """`moved` at the length of `plain`, token by token; MAT-Steer (2502.12446), equation 9."""
    now, wanted = (x.norm(dim=-1, keepdim=True) for x in (moved, plain))
    kept: Tensor = moved * (wanted / now.clamp_min(torch.finfo(moved.dtype).tiny))
    return kept
