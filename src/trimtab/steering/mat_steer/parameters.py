"""What MAT-Steer learns: gates and vectors, in activations scaled to unit coordinates.

Letters as in 2502.12446: gate `G_t(a) = σ(w_t·a + b_t)` (equation 3), `f(a) = a + Σ_t G_t(a) θ_t` (4), length restored
(9). Inside, activations are `x = a / s` with `s = median ‖a‖ / √d`: coordinates are about 1 at every site of every
model, so that one learning rate, and θ ~ N(0, 1), mean the same everywhere. `edit()` folds s back into W and θ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.steering.edits import Gated
from trimtab.steering.edits.base import unit, with_norm_of
from trimtab.steering.mat_steer.options import Options

SHUT = 1 / 12
"""Hard gates below it are 0: there σ, stretched to (−0.1, 1.1) and clipped, is 0 (hard concrete, Louizos et al. 2018,
1712.01312). Only the zero is adopted, with σ's own gradient (straight through, Bengio et al. 2013, 1308.3432), since a
`Gated` edit has a threshold but no stretch, and the saved edit must equal the trained one."""
_ROUNDS = 24  # of the iteration for the inverse root: enough for directions within 0.1° of each other
_DEPENDENT = 1e-6


@dataclass(frozen=True, eq=False)
class Start:
    """Where training starts, in scaled activations.

    Args:
        theta: θ, `[T, d]`.
        weights: W, `[T, d]`.
        bias: b, `[T]`.
    """

    theta: Tensor
    weights: Tensor
    bias: Tensor

    def to(self, device: torch.device) -> "Start":
        """A copy on the device."""
        return Start(self.theta.to(device), self.weights.to(device), self.bias.to(device))


def random_start(names: Sequence[str], d: int, seed: int) -> Start:
    """θ ~ N(0, 1), W and b as a linear layer's, uniform in ±1/√d: the released code's start.

    Args:
        names: of the attributes; each name, with the seed, decides its own rows, whatever the order.
        d: width of the activations.
        seed: of the draw.
    """
    bound, theta, uniform = d**-0.5, [], []
    for name in names:
        own = int.from_bytes(sha256(f"{seed} {name}".encode()).digest()[:7])
        generator = torch.Generator().manual_seed(own)
        uniform.append(torch.rand(d + 1, generator=generator, device="cpu") * 2 * bound - bound)
        theta.append(torch.randn(d, generator=generator, device="cpu"))
    rows = torch.stack(uniform)
    return Start(torch.stack(theta), rows[:, :d], rows[:, d])


class Parameters(nn.Module):
    """W, b and θ of T attributes, and the f that they define.

    θ is built from the learned parameters: `raw [T, d]`; with a shared subspace `coordinates [T, r] @ basis [r, d] +
        raw`, the
    basis starting as the leading directions of all attributes' θ together and raw as the remainder. The split into
    shared and private parts is that of MSRS (2508.10599), which takes shared directions from a singular value
    decomposition of the attributes' activations; assumed: of their θ, and that both parts are learned freely, without
    its masks and alignment losses.

    Args:
        start: where to start.
        options: norm, share, orthogonality, gate, keep_norm and shared are read.
        scale: s.

    Raises:
        InputError: hard orthogonality of more attributes than dimensions or of dependent directions; more shared
            dimensions than attributes.
    """

    def __init__(self, start: Start, options: Options, scale: float) -> None:
        super().__init__()
        T, d = start.theta.shape
        self.options, self.scale, self.length = options, scale, options.share * d**0.5
        theta = start.theta.detach().clone()
        if options.norm == "held":
            theta = unit(theta) * self.length
        if options.orthogonality == "hard":
            _check_independent(theta)
        self.weights = nn.Parameter(start.weights.detach().clone())
        self.bias = nn.Parameter(start.bias.detach().clone())
        self.basis: Tensor | None = None
        if options.shared:
            if options.shared > T:
                raise InputError(
                    f"shared {options.shared} must be at most the number of attributes, {T}",
                    code="out-of-range",
                    field="options.shared",
                )
            basis = torch.linalg.svd(theta, full_matrices=False).Vh[: options.shared]
            self.coordinates = nn.Parameter(theta @ basis.T)
            self.basis = nn.Parameter(basis)
            theta = theta - self.coordinates.detach() @ basis
        self.raw = nn.Parameter(theta)

    def theta(self) -> Tensor:
        """θ, `[T, d]`, in scaled activations: orthogonal and of the held length if the options say so."""
        theta: Tensor = self.raw
        if self.basis is not None:
            theta = theta + self.coordinates @ self.basis
        if self.options.orthogonality == "hard":
            length = self.length if self.options.norm == "held" else theta.norm(dim=-1, keepdim=True)
            theta = orthogonalised(theta) * length
        elif self.options.norm == "held":
            theta = theta * (self.length / theta.norm(dim=-1, keepdim=True))
        return theta

    def gates(self, x: Tensor) -> Tensor:
        """G, equation 3: `[…, d]` to `[…, T]`."""
        open_: Tensor = torch.sigmoid(x @ self.weights.mT + self.bias)
        if self.options.gate == "hard":
            open_ = open_ - torch.where(open_ < SHUT, open_, 0.0).detach()
        return open_

    def steered(self, x: Tensor, gates: Tensor, theta: Tensor) -> Tensor:
        """f, equations 4 and 9: `x […, d]` with its gates `[…, T]`."""
        moved = x + gates @ theta
        return with_norm_of(moved, x) if self.options.keep_norm else moved

    def edit(self) -> Gated:
        """The same f for unscaled activations, with its tensors on the CPU like every edit's."""
        with torch.no_grad():
            threshold = SHUT if self.options.gate == "hard" else 0.0
            return Gated(
                (self.theta() * self.scale).cpu(), (self.weights / self.scale).cpu(), self.bias.clone().cpu(),
                threshold, self.options.keep_norm,
            )  # fmt: skip


def orthogonalised(directions: Tensor) -> Tensor:
    """The orthonormal rows nearest to the directions at length 1: their polar factor `(U Uᵀ)^(−½) U`, `[T, d]`.

    It treats all attributes equally, whereas QR would keep the first and bend the others. The inverse root is computed
    by iteration (Newton–Schulz, Higham 2008, equation 6.35), which has a gradient even if eigenvalues coincide.
    """
    u = unit(directions.double())
    gram = u @ u.mT
    eye = torch.eye(len(u), dtype=gram.dtype, device=gram.device)
    norm = gram.diagonal().sum()  # no eigenvalue is larger
    y, z = gram / norm, eye
    for _ in range(_ROUNDS):
        step = 1.5 * eye - 0.5 * z @ y
        y, z = y @ step, step @ z
    return ((z / norm.sqrt()) @ u).to(directions.dtype)


def _check_independent(theta: Tensor) -> None:
    u = unit(theta).double()
    if float(torch.linalg.eigvalsh(u @ u.mT)[0]) < _DEPENDENT:
        raise InputError(
            "the attributes' directions depend on each other (two are parallel or opposite, or there are more than "
            "dimensions), so there are no orthogonal ones near them; set orthogonality to 'soft'",
            code="no-direction",
            field="options.orthogonality",
        )
