"""What is the code of a course? The plain script, with the rule of a change on the way written out.

As ``scripts``, it needs PyTorch alone and prints the playground's losses; ``tests/test_export.py`` runs it.
The loop applies the changes of an update before it prints the loss, as ``lora_core.training.run`` records it.
"""

from collections.abc import Sequence
from itertools import pairwise

from lora_core.course import Course
from lora_core.experiment import Experiment, Init


def course_lines(course: Course, every: int) -> list[list[str]]:
    """Blocks of lines: what is in force, layer, optimizer, rule, and a loop that prints ``every`` so often.

    Data, adapter and ``linear_layer`` come before.
    """
    return [_in_force(course), _layer(), _optimizer(), _moments(), _change(course), _loop(every)]


def _in_force(course: Course) -> list[str]:
    e = course.experiment
    changes = [f'    ({at}, "{field}", {_plain(value)}),' for at, field, value in course.changes]
    return [
        "CHANGES = [  # after so many updates: what, and to which value",
        *changes,
        "]",
        "now = {  # what is in force; the changes move it",
        f'    "rank": RANK, "alpha": {e.alpha!r}, "scaling_rule": "{e.scaling_rule}",',
        f'    "optimizer": "{e.optimizer}", "learning_rate": LR, "lr_ratio": {e.lr_ratio!r},',
        "}",
    ]


def _plain(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def layer_lines(scaling: str, own: Sequence[str] = ()) -> list[str]:
    """Lines of a ``LoRALayer`` whose change has the factor ``scaling``; ``own``: lines more of its init."""
    return [
        "class LoRALayer(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        "        self.linear = linear_layer()",
        "        self.linear.weight.requires_grad_(False)",
        "        self.lora_A, self.lora_B = nn.Parameter(A.double()), nn.Parameter(B.double())",
        *(f"        {line}" for line in own),
        "",
        "    def forward(self, x):",
        f"        return self.linear(x) + {scaling} * (x @ self.lora_A @ self.lora_B)",
    ]


def _layer() -> list[str]:
    return [
        "def scaling():",
        '    r = {"standard": now["rank"], "rslora": now["rank"] ** 0.5, "constant": 1}',
        '    return now["alpha"] / r[now["scaling_rule"]]',
        "",
        "",
        *layer_lines("self.scaling", ["self.scaling = scaling()"]),
    ]


def _optimizer() -> list[str]:
    return [
        "def new_optimizer(state):  # at the rates in force, with the state that is kept",
        "    trained = [p for each in [model, full] for p in each.parameters() if p.requires_grad]",
        '    ratios = [now["lr_ratio"] if p is model.lora_B else 1 for p in trained]',
        '    rates = [now["learning_rate"] * ratio for ratio in ratios]',
        '    groups = [{"params": [p], "lr": rate} for p, rate in zip(trained, rates)]',
        '    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[now["optimizer"]]',
        "    found = kind(groups)",
        "    found.state.update(state)",
        "    return found",
    ]


def _moments() -> list[str]:
    return [
        "def moments(old, parameter, factor):  # of Adam: as the gradients scale, zero for what is new",
        '    found = {"step": old["step"]}',
        '    for name, power in [("exp_avg", 1), ("exp_avg_sq", 2)]:',
        "        rows, columns = old[name].shape",
        "        found[name] = torch.zeros_like(parameter)",
        "        found[name][:rows, :columns] = old[name] * factor**power",
        "    return found",
    ]


def _change(course: Course) -> list[str]:
    ranks = [segment.experiment.rank for segment in course.segments()]
    grows = any(after > before for before, after in pairwise(ranks))
    cuts = any(after < before for before, after in pairwise(ranks))
    return [
        "@torch.no_grad()",
        "def change(epoch, field, value):  # returns the optimizer that goes on",
        '    A, B, s, r = model.lora_A, model.lora_B, model.scaling, now["rank"]',
        "    now[field], kept = value, dict(optimizer.state)",
        "    model.scaling = scaling()",
        "    new_A, new_B = A.clone(), B * (s / model.scaling)  # s A B, and so the loss, stays",
        *(_growth(course.experiment) if grows else []),
        *(_cut() if cuts else []),
        "    model.lora_A, model.lora_B = nn.Parameter(new_A), nn.Parameter(new_B)",
        "    old_A, old_B = kept.pop(A, {}), kept.pop(B, {})",
        '    if field == "optimizer":',
        "        kept = {}",
        '    elif old_A.get("exp_avg") is not None and now["rank"] >= r:  # a cut forgets them',
        "        kept[model.lora_A] = moments(old_A, new_A, 1)",
        "        kept[model.lora_B] = moments(old_B, new_B, model.scaling / s)",
        "    return new_optimizer(kept)",
    ]  # fmt: skip


def _growth(experiment: Experiment) -> list[str]:
    drawn = {
        Init.KAIMING: [
            "        more = torch.empty(IN, value)",
            "        nn.init.kaiming_uniform_(more.T, a=5**0.5, generator=draw)",
        ],
        Init.GAUSSIAN: ["        more = torch.empty(IN, value).normal_(std=1 / value, generator=draw)"],
        Init.ORIGINAL: ["        more = torch.randn(IN, value, generator=draw)"],
        Init.ZERO: ["        more = torch.zeros(IN, value)"],
    }[experiment.init]
    seed = f"({experiment.seed} * 2654435761 + (3 + epoch) * 0x9E3779B9) % 2**32"
    draw = [f"        draw = torch.Generator().manual_seed({seed})"]
    return [
        '    if field == "rank" and value > r:  # new columns of A, zero rows of B',
        *([] if experiment.init is Init.ZERO else draw),
        *drawn,
        "        new_A = torch.cat([A, more[:, r:].double()], dim=1)",
        "        new_B = torch.cat([new_B, new_B.new_zeros(value - r, OUT)])",
    ]


def _cut() -> list[str]:
    return [
        '    if field == "rank" and value < r:  # the nearest change of that rank: truncated SVD',
        "        U, sigma, Vh = torch.linalg.svd(A @ new_B, full_matrices=False)",
        "        k = min(value, len(sigma))",
        "        root = sigma[:k].sqrt()",
        "        new_A, new_B = A.new_zeros(IN, value), B.new_zeros(value, OUT)",
        "        new_A[:, :k], new_B[:k] = U[:, :k] * root, root[:, None] * Vh[:k]",
    ]


def _loop(every: int) -> list[str]:
    return [
        "model, full = LoRALayer(), linear_layer()",
        "optimizer = new_optimizer({})",
        "for epoch in range(EPOCHS + 1):",
        "    for at, field, value in CHANGES:",
        "        if at == epoch:",
        "            optimizer = change(epoch, field, value)",
        "    losses = [nn.functional.mse_loss(each(X), Y) for each in [model, full]]",
        f"    if epoch % {every} == 0 or epoch == EPOCHS:",
        '        print(f"epoch {epoch:4}  LoRA {losses[0]:.6g}  full {losses[1]:.6g}")',
        "    optimizer.zero_grad()",
        "    sum(losses).backward()  # they share no parameter: one step moves each by its own",
        "    optimizer.step()",
    ]
