"""Steps of one layer in their order, and what autograd holds while it goes back through them.

    kept = the tensors that the steps save, each once      at a step = what is still kept + gradients

Sizes are bytes a token. A tensor is named; a gradient has the size of its tensor. As in torch 2.13, a saved
tensor is let go after the step that saves it first, a gradient after the step it goes into; a sum of
gradients is written into the first of them, unless that one is shared or a view (as from a matrix product
over batch and length; torch/csrc/autograd/input_buffer.cpp).
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Step(NamedTuple):
    """One step: the tensors it makes, those it needs gradients for, and what it saves for its way back.

    `extra` is bytes a token at most beside all that is held as its way back begins, 0 for the new gradients
    alone, and with `early` without the gradient that it starts from; `weights` bytes of its own weights'
    gradients; `shared`: its inputs get the gradient as it is; `view`: the new gradients are views. On the way
    there `forward` is bytes a token beside inputs and outputs; `before`: all is saved before the output is.
    """

    outs: tuple[str, ...]
    inputs: tuple[str, ...]
    saves: tuple[str, ...]
    extra: int = 0
    weights: int = 0
    shared: bool = False
    view: bool = False
    early: bool = False
    before: bool = False
    forward: int = 0


class Moment(NamedTuple):
    """Bytes at a step of the way back: `token` a token, `fixed` of gradients of weights."""

    token: int
    fixed: int


class _Gradient:
    """The storage of a gradient, and how many hold it."""

    def __init__(self, size: int, view: bool) -> None:
        self.size, self.view, self.holders = size, view, 1


class Tape:
    """The steps of a layer; `sizes` are bytes a token of all named tensors."""

    def __init__(self, **inputs: int) -> None:
        """Start with the tensors that come from before and need gradients."""
        self.sizes = dict(inputs)
        self.held = {"x"}  # tensors that a caller holds as long as the layer takes
        self.wanted = set(inputs)  # tensors that need gradients
        self.steps: list[Step] = []

    def add(
        self,
        made: Mapping[str, int],
        inputs: Iterable[str],
        saves: Mapping[str, int] | None = None,
        *,
        trains: bool = False,
        **more: Any,
    ) -> None:
        """Record a step; one that nothing needs a gradient of saves nothing.

        `made` and `saves` are names with bytes a token, `more` further fields of Step.
        """
        self.sizes |= made
        needed = tuple(name for name in inputs if name in self.wanted)
        if needed or trains:
            self.wanted |= made.keys()
            self.sizes |= {name: size for name, size in (saves or {}).items() if name not in self.sizes}
            self.steps.append(Step(tuple(made), needed, tuple(saves or ()), **more))

    @property
    def kept(self) -> int:
        """Bytes a token of all that the steps save."""
        return sum(self.sizes[name] for name in {name for step in self.steps for name in step.saves})

    def back(self) -> list[Moment]:
        """The moments of the way back from the last tensor, whose gradient is there."""
        if not self.steps:
            return []
        first: dict[str, int] = {}
        for place, step in enumerate(self.steps):
            for name in step.saves:
                first.setdefault(name, place)
        gradients = {name: _Gradient(self.sizes[name], view=False) for name in self.steps[-1].outs}
        live = self.kept + sum(one.size for one in gradients.values())
        fixed, found = 0, []
        for place in range(len(self.steps) - 1, -1, -1):
            step = self.steps[place]
            own = [gradients.pop(name) for name in step.outs if name in gradients]
            fixed += step.weights
            new = 0 if step.shared else sum(self.sizes[name] for name in step.inputs)
            gone = sum(one.size for one in own if one.holders == 1) if step.early else 0
            found.append(Moment(live + (step.extra - gone or new), fixed))
            live += new
            for name in step.inputs:
                most, change = self._arrive(gradients, name, step, own)
                found.append(Moment(live + most, fixed))
                live += change
            live -= sum(_let_go(one) for one in own)
            live -= sum(self.sizes[name] for name in step.saves if first[name] == place)
        return found

    def there(self, again: bool) -> list[int]:
        """Bytes a token at each step on the way to the last tensor; `again`: as far as a checkpoint goes.

        Which is to the last tensor that is saved; the input of the layer is counted as the checkpoint then.
        """
        last = {name: place for place, step in enumerate(self.steps) for name in step.inputs}
        last |= dict.fromkeys(self.held, len(self.steps))
        end = max((place for place, step in enumerate(self.steps) if step.saves), default=-1)
        saved: set[str] = set()
        alive = set() if again else {"x"}
        found = []
        for place, step in enumerate(self.steps[: end + 1] if again else self.steps):
            saved |= set(step.saves)
            whole = place < end or not again or not step.before
            alive |= set(step.outs) if whole else set()
            sizes = sum(self.sizes[name] for name in saved | alive)
            found.append(sizes + (step.forward if whole else 0))
            alive = {name for name in alive if last.get(name, -1) > place}
        return found

    def waiting(self) -> int:
        """Bytes a token of gradients as the first saved tensor is asked for on the way back."""
        tail = Tape()
        tail.sizes = self.sizes
        for step in reversed(self.steps):
            if step.saves:
                break
            tail.steps.insert(0, step)
        return tail.back()[-1].token if tail.steps else self.sizes[self.steps[-1].outs[0]]

    def _arrive(
        self, gradients: dict[str, _Gradient], name: str, step: Step, own: list[_Gradient]
    ) -> tuple[int, int]:
        """Put the gradient of an input into its place; the bytes that it takes at most, and from then."""
        if step.shared:
            new = own[0]
            new.holders += 1
        else:
            new = _Gradient(self.sizes[name], step.view)
        before = gradients.get(name)
        if before is None:
            gradients[name] = new
            return 0, 0
        if before.holders == 1 and not before.view:
            return 0, -_let_go(new)
        gradients[name] = _Gradient(self.sizes[name], view=False)
        return self.sizes[name], self.sizes[name] - _let_go(new) - _let_go(before)


def _let_go(gradient: _Gradient) -> int:
    """One holder less; the bytes that this frees."""
    gradient.holders -= 1
    return 0 if gradient.holders else gradient.size
