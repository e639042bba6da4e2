"""The likeliest token by float32 logits, for the price of logits in the head's own precision.

Where W is in bfloat16 and h in float32, W's own product takes h' (h rounded to W's precision) and rounds r = W h'. With
δ = h - h' every exact logit lies within |w_j · δ| ≤ max ‖w‖ ‖δ‖ = D of r_j, and rounding keeps the order. So a token
whose exact logit is at least that of the likeliest by r, whose rounded logit is t, has a rounded logit of at least
t - 2 (D + u |t|) and a little, u being the unit roundoff. There are a few such tokens; their logits are computed anew
in float32, and the largest of all is then the one that float32 would have. A bias is added before the one rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trimtab.models.linear import quick_dtypes
from trimtab.models.versions import Version, version

SLACK = 1.05  # for products of small errors, sums in float32, and norms of the precision of W
BLOCK = 512  # columns at most that are looked at together
SAMPLED = 256  # rows of W whose norms tell whether it was written to unseen


def low_head(head: nn.Module | None, device: torch.device) -> nn.Linear | None:
    """The head, where it is a plain layer on this device whose products are quicker in its own precision."""
    if type(head) is not nn.Linear or head._forward_hooks or head._forward_pre_hooks:
        return None
    weight = head.weight
    if type(weight) is not nn.Parameter or weight.device != device:
        return None
    return head if weight.dtype in quick_dtypes(device) else None


@dataclass
class LongestRow:
    """The largest norm of a row of a layer's weights, computed anew once they are written to.

    Writes through `weight.data` are seen where the sampled rows show them.
    """

    norm: float = 0.0
    of: tuple[Version, float] | None = None

    @torch.no_grad()
    def of_layer(self, layer: nn.Linear) -> float:
        """The norm, rounded up."""
        weight = layer.weight.detach()
        sampled = float(weight[:: max(1, len(weight) // SAMPLED)].float().square().sum())
        of = version((layer.weight,)), sampled
        if of != self.of:
            norms = (part.float().norm(dim=1).amax() for part in torch.split(weight, 4096))
            self.norm, self.of = float(torch.stack([*norms]).amax()), of
        return self.norm


class GreedyHead:
    """Called in place of a head's `forward`: logits of which the largest is that of float32; others are rounded.

    Args:
        head: as `low_head` gives it.
        longest: the largest norm of a row of its weights.
        barred: ids of tokens that may be ruled out afterwards (those that end a text, before it is long enough), so
            that the likeliest of all others must be right too.
    """

    def __init__(self, head: nn.Linear, longest: float, barred: Sequence[int] = ()) -> None:
        self._weight, self._bias = head.weight.detach(), None if head.bias is None else head.bias.detach()
        self._longest, self._barred = longest, torch.tensor(barred, dtype=torch.long, device=head.weight.device)
        self._unit = torch.finfo(head.weight.dtype).eps / 2

    @torch.no_grad()
    def __call__(self, h: Tensor) -> Tensor:
        """Float32 logits `[…, V]` of hidden states `[…, d_model]`, float32."""
        rows = h.reshape(-1, h.shape[-1]).float()
        rounded = rows.to(self._weight.dtype)
        logits = nn.functional.linear(rounded, self._weight, self._bias).float()
        lost = torch.linalg.vector_norm(rows - rounded.float(), dim=1)
        top = self._top(logits)
        row, token = at_least(logits, top - 2 * SLACK * (self._longest * lost + self._unit * top.abs()))
        exact = (rows[row] * self._weight[token].float()).sum(dim=1)
        logits[row, token] = exact if self._bias is None else exact + self._bias[token].float()
        return logits.view(*h.shape[:-1], logits.shape[-1])

    def _top(self, logits: Tensor) -> Tensor:
        """The largest of each row, barred tokens aside."""
        if not len(self._barred):
            return logits.amax(dim=1)
        own = logits[:, self._barred]
        logits[:, self._barred] = -torch.inf
        top = logits.amax(dim=1)
        logits[:, self._barred] = own
        return top


def at_least(values: Tensor, bound: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of the few values `[n, V]` that are not below the bound `[n]` of their row.

    The largest of each block of columns says which blocks to look into: half the time of comparing all.
    """
    n, width = values.shape
    size = next(size for size in range(BLOCK, 0, -1) if width % size == 0)
    blocks = values.view(n, width // size, size)
    row, block = (blocks.amax(dim=2) >= bound[:, None]).nonzero(as_tuple=True)
    found, column = (blocks[row, block] >= bound[row, None]).nonzero(as_tuple=True)
    return row[found], block[found] * size + column
