"""What is the code of this experiment? A script that needs no playground and prints the playground's losses.

It draws the same random numbers in the same order as ``lora_core.data`` and trains with the plain float64
autograd loop. Nothing is imported from here, so the two are kept in step by ``tests/test_export.py``, which
runs the scripts. They hold only what this experiment needs: no options, no branches, at most 60 lines (twice
that for a course).
"""

from itertools import pairwise

from lora_core.adapters.peft_terms import LAYER, peft_terms
from lora_core.course import Course
from lora_core.experiment import Experiment, Init, Optimizer, ScalingRule, Task
from lora_core.export.course_script import course_lines, layer_lines
from lora_core.export.data_lines import data_lines

PRINTED = 20
"""A script prints about so many lines of losses."""


def torch_script(given: Experiment | Course) -> str:
    """A script with PyTorch alone (and scikit-learn for the digits): LoRA and full fine-tuning.

    It prints trainable and total numbers, and then ``epoch`` (updates done, 0 = before the first), the
    adapter's loss and full fine-tuning's. Of a course it holds the rule of a change as well.
    """
    if isinstance(given, Course) and given.changes:
        return _course_script(given)
    experiment = given.experiment if isinstance(given, Course) else given
    return _joined(
        _opening(experiment, "LoRA beside full fine-tuning", "from torch import nn"),
        [*_constants(experiment), f"SCALING = {_scaling(experiment)}"],
        data_lines(experiment),
        _adapter(experiment),
        _linear_layer(experiment),
        layer_lines("SCALING"),
        [
            "model, full = LoRALayer(), linear_layer()",
            "trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)",
            'print("Trainable:", trainable, "of", sum(p.numel() for p in model.parameters()))',
            *_optimizer(experiment, "[model, full]"),
            "for epoch in range(EPOCHS + 1):",
            "    losses = [nn.functional.mse_loss(each(X), Y) for each in [model, full]]",
            f"    if epoch % {_every(experiment)} == 0 or epoch == EPOCHS:",
            '        print(f"epoch {epoch:4}  LoRA {losses[0]:.6g}  full {losses[1]:.6g}")',
            "    optimizer.zero_grad()",
            "    sum(losses).backward()  # they share no parameter: one step moves each by its own",
            "    optimizer.step()",
        ],
    )


def _course_script(course: Course) -> str:
    e = course.experiment
    blocks = course_lines(course, _every(e))
    title = "LoRA, changed on the way, beside full fine-tuning"
    return _joined(
        _opening(e, title, "from torch import nn"), _constants(e), data_lines(e), _adapter(e),
        _linear_layer(e), *blocks,
    )  # fmt: skip


def peft_script(experiment: Experiment) -> str:
    """The same adapter with the ``peft`` library; prints PEFT's own count, then ``epoch`` and the loss."""
    imports = ("from peft import LoraConfig, get_peft_model", "from torch import nn")
    return _joined(
        _opening(experiment, "LoRA with PEFT", *imports),
        _constants(experiment),
        data_lines(experiment),
        _adapter(experiment),
        _linear_layer(experiment),
        [
            *_peft_config(experiment),
            "model = nn.Sequential()",
            f'model.add_module("{LAYER}", linear_layer())',
            "model = get_peft_model(model, config)",
            "model.print_trainable_parameters()",
            f"adapter = model.base_model.model.{LAYER}",
            "with torch.no_grad():  # PEFT stores the transposes, and would draw an A of its own",
            '    adapter.lora_A["default"].weight.copy_(A.T)',
            '    adapter.lora_B["default"].weight.copy_(B.T)',
        ],
        [
            *_optimizer(experiment, "[model]"),
            "for epoch in range(EPOCHS + 1):",
            "    loss = nn.functional.mse_loss(model(X), Y)",
            f"    if epoch % {_every(experiment)} == 0 or epoch == EPOCHS:",
            '        print(f"epoch {epoch:4}  LoRA {loss:.6g}")',
            "    optimizer.zero_grad()",
            "    loss.backward()",
            "    optimizer.step()",
        ],
    )


def _peft_config(experiment: Experiment) -> list[str]:
    terms = peft_terms(experiment)
    arguments = ["r=RANK", f"lora_alpha={terms.lora_alpha!r}", f'target_modules=["{LAYER}"]']
    arguments += ["use_rslora=True"] if terms.use_rslora else []
    arguments += [f'bias="{terms.bias}"'] if experiment.train_bias else []
    config = [f"config = LoraConfig({', '.join(arguments)})"]
    if experiment.scaling_rule is ScalingRule.CONSTANT:
        return ["# PEFT divides alpha by r: r times the scaling gives a constant one.", *config]
    return config


def _joined(*blocks: list[str]) -> str:
    """One script: definitions stand two blank lines apart from the rest, all else one."""
    texts = ["\n".join(block) for block in blocks]
    script = texts[0]
    for before, text in pairwise(texts):
        defines = any(each.startswith(("def ", "class ", "@")) for each in (before, text))
        script += ("\n\n\n" if defines else "\n\n") + text
    return script + "\n"


def _opening(experiment: Experiment, title: str, *imports: str) -> list[str]:
    e = experiment
    digits = ["from sklearn.datasets import load_digits"] if e.task is Task.DIGITS else []
    return [
        f'"""{title}: one layer {e.in_features} -> {e.out_features}, task {e.task}, rank {e.rank}."""',
        "",
        "import torch",
        *sorted([*imports, *digits]),
    ]


def _constants(experiment: Experiment) -> list[str]:
    e = experiment
    return [
        "IN, OUT, SAMPLES, RANK, EPOCHS, LR = "
        f"{e.in_features}, {e.out_features}, {e.samples}, {e.rank}, {e.epochs}, {e.learning_rate!r}"
    ]


def _scaling(experiment: Experiment) -> str:
    return {
        ScalingRule.STANDARD: f"{experiment.alpha!r} / RANK  # alpha / r",
        ScalingRule.RSLORA: f"{experiment.alpha!r} / RANK**0.5  # alpha / sqrt(r): rsLoRA",
        ScalingRule.CONSTANT: f"{experiment.alpha!r}  # whatever the rank",
    }[experiment.scaling_rule]


def _linear_layer(experiment: Experiment) -> list[str]:
    return [
        "def linear_layer():  # with the base's weight and bias",
        "    linear = nn.Linear(IN, OUT, dtype=torch.float64)",
        '    linear.load_state_dict({"weight": weight, "bias": bias})',
        f"    linear.bias.requires_grad_({experiment.train_bias})",
        "    return linear",
    ]


def _adapter(experiment: Experiment) -> list[str]:
    """Lines that make the factors A (in, r) and B (r, out)."""
    zero_b = "B = torch.zeros(RANK, OUT)"
    return {
        Init.KAIMING: [
            "A, B = torch.empty(IN, RANK), torch.zeros(RANK, OUT)",
            "nn.init.kaiming_uniform_(A.T, a=5**0.5, generator=draw)  # within 1 / sqrt(IN)",
        ],
        Init.GAUSSIAN: ["A = torch.empty(IN, RANK).normal_(std=1 / RANK, generator=draw)", zero_b],
        Init.ORIGINAL: [
            "A = torch.randn(IN, RANK, generator=draw)",
            "B = torch.randn(RANK, OUT, generator=draw)",
        ],
        Init.ZERO: ["A, B = torch.zeros(IN, RANK), torch.zeros(RANK, OUT)  # never moves"],
    }[experiment.init]


def _optimizer(experiment: Experiment, models: str) -> list[str]:
    """Lines that make ``optimizer`` for what is trained in some models: ``[model, full]``."""
    name = "Adam" if experiment.optimizer is Optimizer.ADAM else "SGD"
    ratio = experiment.lr_ratio
    if ratio == 1.0:
        return [
            f"trained = [p for each in {models} for p in each.parameters() if p.requires_grad]",
            f"optimizer = torch.optim.{name}(trained, lr=LR)",
        ]
    return [
        f"named = [pair for each in {models} for pair in each.named_parameters()]",
        "trained = [(name, p) for name, p in named if p.requires_grad]",
        f'rates = [LR * {ratio!r} if "lora_B" in name else LR for name, _ in trained]  # LoRA+',
        'groups = [{"params": [p], "lr": rate} for (_, p), rate in zip(trained, rates)]',
        f"optimizer = torch.optim.{name}(groups)",
    ]


def _every(experiment: Experiment) -> int:
    return max(1, experiment.epochs // PRINTED)
