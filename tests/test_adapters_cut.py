"""Cutting against oracles of others: PEFT reads the file back, numpy truncates the dense change."""

import json
import math
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from lora_core.adapters.cutting import cut, numbers_bought, one_rank, ranks_for_bytes, ranks_for_energy
from lora_core.adapters.file import AdapterFile, open_adapter
from lora_core.adapters.rounding import PRECISION
from lora_core.adapters.source import WEIGHTS, find_on_disk
from lora_core.adapters.spectra import directions_of, measure, read_factors, spectrum_of
from lora_core.adapters.summary import Summary, as_dict, remarks
from lora_core.adapters.writing import config_of, must_pad, plan_file
from tests.adapters_kit import (
    PREFIX,
    Tiny,
    config,
    deltas,
    draw,
    factors,
    made_by_peft,
    opened,
    peft_file,
    truncated,
    written,
)

# Of PEFT about its own choice for Conv1D and about every bias of B, of transformers about its own names.
PEFT_WARNINGS = pytest.mark.filterwarnings(
    "ignore:fan_in_fan_out is set to",
    "ignore:Adapter 'default'. 1 LoRA tensor.s. have invalid shape",
    "ignore:.is_gradient_checkpointing. is deprecated",
)

SETTINGS: dict[str, dict[str, Any]] = {
    "alpha is not r": {"r": 4, "lora_alpha": 11},
    "bf16": {"r": 4, "lora_alpha": 6, "dtype": torch.bfloat16},
    "fp16": {"r": 4, "lora_alpha": 6, "use_rslora": True, "dtype": torch.float16},
    "rslora": {"r": 5, "lora_alpha": 3, "use_rslora": True},
    "patterns": {
        "r": 4,
        "lora_alpha": 6,
        "rank_pattern": {"linear": 6, "conv|point": 2},
        "alpha_pattern": {".*urned": 10, "tokens": 1},
    },
    "rslora and patterns": {
        "r": 3,
        "lora_alpha": 6,
        "use_rslora": True,
        "rank_pattern": {"^conv$": 5},
        "alpha_pattern": {"linear": 2},
    },
    "dora": {"r": 4, "lora_alpha": 8, "use_dora": True, "target_modules": ["linear", "conv"]},
}


def measured(file: AdapterFile) -> list[Any]:
    return list(measure(file.source, file.modules))


def reloaded(folder: Path, files: dict[str, bytes]) -> torch.nn.Module:
    """PEFT's own reading of the files, on a fresh model; every warning of its is an error."""
    from peft import PeftModel

    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return PeftModel.from_pretrained(Tiny(), folder)


@PEFT_WARNINGS
@pytest.mark.parametrize("name", SETTINGS)
def test_peft_reads_the_truncated_change(name: str, tmp_path: Path) -> None:
    model, before = made_by_peft(**SETTINGS[name])
    model.save_pretrained(tmp_path / "whole")
    file = open_adapter(find_on_disk(tmp_path / "whole"))
    assert {module.path for module in file.modules} == set(before)
    spectra = measured(file)
    for padded in (False, True):
        for policy, ranks in {
            "rank": one_rank(file, 2),
            "energy": ranks_for_energy(spectra, 0.8),
            "whole": tuple(module.largest_rank for module in file.modules),
        }.items():
            plan = plan_file(file, ranks, "F64", padded)
            after = deltas(reloaded(tmp_path / f"{policy} {padded}", written(plan)))
            for module, spectrum, rank in zip(file.modules, spectra, ranks, strict=True):
                whole = before[module.path].flatten(1)
                expected = truncated(whole, rank).reshape(before[module.path].shape)
                torch.testing.assert_close(
                    after[module.path], expected, rtol=0, atol=1e-6 * whole.norm().item()
                )
                # The tail of the spectrum is the error that was measured.
                lost = (after[module.path] - before[module.path]).norm().item()
                assert lost == pytest.approx(spectrum.error(rank), rel=1e-6, abs=1e-6 * spectrum.norm)
    if name == "dora":
        one = load(written(plan)[WEIGHTS])
        whole = load((tmp_path / "whole" / WEIGHTS).read_bytes())
        magnitudes = [key for key in whole if "magnitude" in key]
        assert len(magnitudes) == 2
        assert all(torch.equal(one[key], whole[key]) for key in magnitudes)


@PEFT_WARNINGS
def test_the_bias_of_b_takes_the_scaling_and_whole_layers_go_through(tmp_path: Path) -> None:
    model, _ = made_by_peft(
        r=4, lora_alpha=12, lora_bias=True, bias="all", target_modules=["linear"], modules_to_save=["head"]
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "head" in name or name.endswith(".bias"):
                parameter.copy_(draw(*parameter.shape, seed=3))
    model.float().save_pretrained(tmp_path / "whole")
    file = open_adapter(find_on_disk(tmp_path / "whole"))
    ours = reloaded(tmp_path / "ours", written(plan_file(file, (4,), "F32")))
    X = draw(5, 12)
    base, again = model.base_model.model, ours.base_model.model
    again.linear.base_layer.weight = base.linear.base_layer.weight
    torch.testing.assert_close(again.linear(X), base.linear(X), rtol=1e-5, atol=1e-5)
    Y = draw(5, 9)
    assert torch.equal(again.head(Y), base.head(Y))


@PEFT_WARNINGS
def test_a_real_architecture_of_conv1d_gives_the_same_outputs(tmp_path: Path) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel

    def base() -> GPT2LMHeadModel:
        torch.manual_seed(0)
        return GPT2LMHeadModel(
            GPT2Config(n_layer=2, n_embd=16, n_head=2, vocab_size=40, n_positions=8)
        ).eval()

    settings = LoraConfig(r=4, lora_alpha=16, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)
    model = get_peft_model(base(), settings).eval()
    with torch.no_grad():
        for seed, (name, parameter) in enumerate(model.named_parameters()):
            if "lora_B" in name:
                parameter.copy_(draw(*parameter.shape, seed=seed))
    model.save_pretrained(tmp_path / "whole")
    file = open_adapter(find_on_disk(tmp_path / "whole"))
    assert len(file.modules) == 6
    plan = plan_file(file, tuple(module.largest_rank for module in file.modules), "F32")
    (tmp_path / "ours").mkdir()
    for name, content in written(plan).items():
        (tmp_path / "ours" / name).write_bytes(content)
    ours = PeftModel.from_pretrained(base(), tmp_path / "ours").eval()
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens).logits, model(tokens).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "name", "rounding"), [(torch.bfloat16, "BF16", 1e-2), (torch.float16, "F16", 1e-3)]
)
def test_half_precision_is_read_exactly_and_written_evenly(
    dtype: torch.dtype, name: str, rounding: float
) -> None:
    tensors = {key: (1e-3 * tensor).to(dtype) for key, tensor in peft_file({"a": 4}).items()}
    file = opened(tensors, config())
    A, B = (tensor.double() for tensor in tensors.values())
    exact = truncated(2 * B @ A, 2)
    U, values, Vh = directions_of(file.source, file.modules[0])
    torch.testing.assert_close(
        (U[:, :2] * values[:2]) @ Vh[:2], exact, rtol=0, atol=1e-12 * exact.norm().item()
    )
    out = load(written(plan_file(file, (2,)))[WEIGHTS])
    A, B = out["base_model.model.a.lora_A.weight"], out["base_model.model.a.lora_B.weight"]
    assert A.dtype == B.dtype == dtype
    assert file.dtype == name
    error = (B.double() @ A.double() - exact).norm() / exact.norm()
    assert error < rounding


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-30])
def test_the_spectrum_belongs_to_the_change_and_not_to_its_factors(scale: float) -> None:
    A, B = factors(4, (12, 9))
    Q = draw(4, 4, seed=9).double()
    plain = opened({"x.lora_A.weight": A.double(), "x.lora_B.weight": B.double()})
    turned = {"x.lora_A.weight": Q @ A.double() * scale, "x.lora_B.weight": B.double() @ torch.linalg.inv(Q)}
    one, other = (spectrum_of(file.source, file.modules[0]) for file in (plain, opened(turned)))
    np.testing.assert_allclose(other.values, scale * one.values, rtol=1e-10)
    np.testing.assert_allclose(
        one.values, np.linalg.svd((B.double() @ A.double()).numpy())[1][:4], rtol=1e-10
    )
    assert other.effective == pytest.approx(one.effective, rel=1e-9)
    assert other.effective_energy == pytest.approx(one.effective_energy, rel=1e-9)
    assert [other.rank_for(share) for share in (0.5, 0.9, 0.99)] == [
        one.rank_for(share) for share in (0.5, 0.9, 0.99)
    ]


def test_seven_decades_of_singular_values_are_told_apart() -> None:
    U, V = (torch.linalg.qr(draw(20, 8, seed=seed).double()).Q for seed in (1, 2))
    values = torch.logspace(0, -7, 8, dtype=torch.float64)
    file = opened({"x.lora_A.weight": (V * values).T, "x.lora_B.weight": U})
    np.testing.assert_allclose(spectrum_of(file.source, file.modules[0]).values, values, rtol=1e-8)


def test_a_change_of_rank_one_stays_of_rank_one() -> None:
    direction = draw(1, 12)
    file = opened({"x.lora_A.weight": direction.repeat(4, 1), "x.lora_B.weight": draw(9, 4)})
    spectrum = measured(file)[0]
    assert spectrum.used == 1
    assert spectrum.effective_energy == pytest.approx(1)
    for share in (0.9, 0.999, 1.0):
        assert ranks_for_energy([spectrum], share)[0] <= (1 if share < 1 else 4)
    tensors = load(written(plan_file(file, (1,)))[WEIGHTS])
    found, whole = (
        tensors["x.lora_B.weight"] @ tensors["x.lora_A.weight"],
        draw(9, 4) @ direction.repeat(4, 1),
    )
    torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99, 1.0])
def test_the_rank_for_a_share_of_energy_is_the_least_that_keeps_it(share: float) -> None:
    spectra = measured(
        opened(peft_file({"a": 6, "b": 3, "c": 8}), config(rank_pattern={"a": 6, "b": 3, "c": 8}))
    )
    for spectrum, rank in zip(spectra, ranks_for_energy(spectra, share), strict=True):
        energy = np.square(spectrum.values)
        assert energy[:rank].sum() >= share * energy.sum() * (1 - 1e-12)
        assert rank == 1 or energy[: rank - 1].sum() < share * energy.sum()


def test_a_budget_is_held_and_spent_where_it_keeps_most() -> None:
    ranks = {"model.layers.0.q": 8, "model.layers.1.q": 8, "model.layers.2.q": 8}
    tensors = peft_file(ranks, (40, 30))
    tensors["base_model.model.model.layers.1.q.lora_B.weight"] *= 100
    file = opened(tensors, config(8))
    spectra = measured(file)
    sizes = [len(written(plan_file(file, one_rank(file, rank)))[WEIGHTS]) for rank in (1, 8)]
    for most in np.linspace(*sizes, 12).astype(int):
        found = ranks_for_bytes(file, spectra, int(most))
        plan = plan_file(file, found)
        assert len(written(plan)[WEIGHTS]) == plan.bytes <= most
        # The best of all ways to spend as many directions, by trying every one.
        energies = [np.square(spectrum.values).cumsum() for spectrum in spectra]
        best = max(
            sum(energy[rank - 1] for energy, rank in zip(energies, each, strict=True))
            for each in np.ndindex(9, 9, 9)
            if min(each) > 0 and sum(each) == sum(found)
        )
        kept = sum(energy[rank - 1] for energy, rank in zip(energies, found, strict=True))
        assert kept == pytest.approx(best)
    assert ranks_for_bytes(file, spectra, sizes[1] + 100) == (8, 8, 8)
    assert ranks_for_bytes(file, spectra, sizes[1] - 100, padded=True) == (7, 7, 7)
    assert sum(numbers_bought(file, spectra, 70 * 10)) == 10
    with pytest.raises(
        ValueError, match=r"megabytes is 0.0001: it must be at least .*, what rank 1 everywhere"
    ):
        ranks_for_bytes(file, spectra, 100)


def test_what_is_kept_in_all_is_what_the_modules_keep() -> None:
    file = opened(peft_file({"a": 4, "b": 4}), config())
    spectra = measured(file)
    found = cut(file, spectra, (2, 3))
    energies = [np.square(spectrum.values) for spectrum in spectra]
    kept = energies[0][:2].sum() + energies[1][:3].sum()
    assert found.energy == pytest.approx(kept / sum(energy.sum() for energy in energies))
    assert found.total_error == pytest.approx(np.sqrt(1 - found.energy))
    assert found.kept[0] == pytest.approx(1 - found.error[0] ** 2)


# The readers' formulas, from their sources, on the tensors of one module: (rank, config, path) -> scaling.
def peft_scaling(tensor_rank: int, settings: dict[str, Any], path: str) -> float:
    from peft.utils.other import get_pattern_key

    rank, alpha = settings["rank_pattern"], settings["alpha_pattern"]
    found = alpha.get(get_pattern_key(alpha, path), settings["lora_alpha"])
    return found / rank.get(get_pattern_key(rank, path), settings["r"])


def vllm_scaling(tensor_rank: int, settings: dict[str, Any], path: str) -> float:
    return settings["lora_alpha"] / settings["r"]


def llama_cpp_scaling(tensor_rank: int, settings: dict[str, Any], path: str) -> float:
    return settings["lora_alpha"] / tensor_rank


@pytest.mark.parametrize("padded", [False, True])
def test_the_readers_formulas_on_our_file_give_our_change(padded: bool) -> None:
    ranks = {"layers.1.q": 4, "enc.layers.1.q": 4, "enc.layers.1.k": 4}
    file = opened(peft_file(ranks), config(4, 16, use_rslora=True))
    kept = (1, 3, 2)
    plan = plan_file(file, kept, "F64", padded)
    settings, tensors = config_of(plan), load(written(plan)[WEIGHTS])
    assert settings is not None
    assert settings["rank_pattern"] == settings["alpha_pattern"]
    assert settings["lora_alpha"] == settings["r"] == 3
    readers = [peft_scaling, vllm_scaling] + ([llama_cpp_scaling] if padded else [])
    for module, rank in zip(file.modules, kept, strict=True):
        A, B = (tensors[f"base_model.model.{module.path}.lora_{factor}.weight"] for factor in "AB")
        assert len(A) == (3 if padded else rank)
        factors_before = read_factors(file.source, module)
        expected = truncated(8 * factors_before[1] @ factors_before[0], rank)
        for scaling in readers:
            change = scaling(len(A), settings, module.path) * B @ A
            torch.testing.assert_close(change, expected, rtol=0, atol=1e-9)
    if not padded:
        assert llama_cpp_scaling(1, settings, "layers.1.q") == 3  # why padding is offered


def test_keys_of_patterns_hit_one_module_each() -> None:
    from peft.utils.other import get_pattern_key

    ranks = {"layers.1.q": 4, "enc.layers.1.q": 3, "enc.layersX1.q": 2, "a-b.c": 1}
    file = opened(
        peft_file(ranks),
        config(4, rank_pattern={"^" + path.replace(".", r"\."): rank for path, rank in ranks.items()}),
    )
    settings = config_of(plan_file(file, tuple(ranks[module.path] for module in file.modules)))
    assert settings is not None
    keys = settings["rank_pattern"]
    assert [keys.get(get_pattern_key(keys, path), settings["r"]) for path in ranks] == [4, 3, 2, 1]
    assert not any(key.startswith("base_model") for key in keys)


@pytest.mark.parametrize(
    ("name", "downs", "alpha"),
    [
        ("kohya", "lora_unet_mid_block_attn.lora_{}.weight", "lora_unet_mid_block_attn.alpha"),
        ("old diffusers", "unet.mid.attn1.processor.to_q_lora.{}.weight", None),
        ("cloneofsimo", "unet:0:{}", None),
    ],
)
def test_other_names_stay_and_carry_the_scaling(name: str, downs: str, alpha: str | None) -> None:
    A, B = factors(4, (12, 9))
    tensors = {downs.format("down"): A, downs.format("up"): B}
    if alpha:
        tensors[alpha] = torch.tensor(2.0)
    metadata = {"unet:0:rank": "4"} if name == "cloneofsimo" else None
    file = opened(tensors, metadata=metadata, name="mine.safetensors")
    plan = plan_file(file, (2,), "F64")
    files = written(plan)
    assert list(files) == ["mine.safetensors"]
    out = load(files["mine.safetensors"])
    assert set(out) == set(tensors)
    scaling = out[alpha].item() / 2 if alpha else 1.0
    change = scaling * out[downs.format("up")] @ out[downs.format("down")]
    torch.testing.assert_close(
        change, truncated((0.5 if alpha else 1) * B.double() @ A.double(), 2), rtol=0, atol=1e-9
    )
    if name == "cloneofsimo":
        assert b'"unet:0:rank":"2"' in files["mine.safetensors"]
    assert must_pad(file) == (name == "old diffusers")


def test_conv_and_embedding_keep_their_shapes() -> None:
    tensors = {
        "lora_unet_a.lora_down.weight": draw(4, 5, 3, 3),
        "lora_unet_a.lora_up.weight": draw(7, 4, 1, 1),
        "lora_unet_b.lora_down.weight": draw(4, 6, 1, 1),
        "lora_unet_b.lora_up.weight": draw(8, 4, 1, 1),
    }
    out = load(written(plan_file(opened(tensors, name="x.safetensors"), (2, 3)))["x.safetensors"])
    shapes = {key: tuple(tensor.shape) for key, tensor in out.items() if tensor.ndim}
    assert shapes == {
        "lora_unet_a.lora_down.weight": (2, 5, 3, 3),
        "lora_unet_a.lora_up.weight": (7, 2, 1, 1),
        "lora_unet_b.lora_down.weight": (3, 6, 1, 1),
        "lora_unet_b.lora_up.weight": (8, 3, 1, 1),
    }
    assert [out[f"lora_unet_{name}.alpha"].item() for name in "ab"] == [2, 3]


def test_numbers_that_are_not_finite_are_not_cut_and_not_written() -> None:
    tensors = peft_file({"a": 4, "b": 4})
    tensors["base_model.model.b.lora_A.weight"][0, 0] = float("nan")
    file = opened(tensors, config())
    spectra = measured(file)
    assert [spectrum.finite for spectrum in spectra] == [True, False]
    with pytest.raises(ValueError, match="b holds numbers that are not finite"):
        cut(file, spectra, (1, 1))
    large = opened({"x.lora_A.weight": draw(4, 9, scale=1e6), "x.lora_B.weight": draw(9, 4, scale=1e6)})
    with pytest.raises(ValueError, match="x is too large for F16"):
        written(plan_file(large, (2,), "F16"))


def test_wrong_ranks_and_dtypes_are_named() -> None:
    file = opened(peft_file({"a": 4}), config())
    with pytest.raises(ValueError, match="rank of a is 5: it must be from 1 to 4"):
        plan_file(file, (5,))
    with pytest.raises(ValueError, match="dtype is I8: it must be one of F64, F32, F16, BF16"):
        plan_file(file, (1,), "I8")
    assert json.loads(written(plan_file(file, (1,)))["adapter_config.json"]) == {
        "peft_type": "LORA",
        "inference_mode": True,
        "r": 1,
        "lora_alpha": 1,
        "target_modules": ["a"],
        "rank_pattern": {},
        "alpha_pattern": {},
    }


def test_two_tensors_of_one_key_are_not_written() -> None:
    tensors = peft_file({"a": 4}) | {
        f"{PREFIX}c.modules_to_save.default.weight": draw(3, 9),
        f"{PREFIX}c.weight": draw(3, 9, seed=1),
    }
    with pytest.raises(ValueError, match=r"would be written as base_model\.model\.c\.weight"):
        plan_file(opened(tensors, config(4, 8)), (2,))


@pytest.mark.parametrize("value", [float("nan"), 60000.0])
def test_a_bias_that_is_not_finite_once_scaled_is_refused_before_anything_is_written(value: float) -> None:
    bias = {f"{PREFIX}a.lora_B.bias": torch.full((9,), value).half()}
    file = opened(peft_file({"a": 4}) | bias, config(4, 8))
    with pytest.raises(ValueError, match="its bias of B, times its scaling of 2, is not finite in F16"):
        cut(file, measured(file), (2,))


def test_a_magnitude_that_is_not_finite_is_refused() -> None:
    magnitude = {f"{PREFIX}a.lora_magnitude_vector": torch.full((9,), float("inf"))}
    file = opened(peft_file({"a": 4}) | magnitude, config(4, 8))
    with pytest.raises(ValueError, match="lora_magnitude_vector holds numbers that are not finite"):
        cut(file, measured(file), (2,))


def test_a_config_is_no_business_of_names_that_carry_their_alpha() -> None:
    A, B = factors(4, (12, 9))
    tensors = {"lora_unet_a.lora_down.weight": A, "lora_unet_a.lora_up.weight": B}
    file = opened(tensors | {"lora_unet_a.alpha": torch.tensor(1.0)}, config(4, 8), name="style.safetensors")
    assert (file.modules[0].scaling, file.config_unused) == (0.25, True)
    assert any(
        "adapter_config.json is not used" in text for text in remarks(Summary(file, (*measured(file),)))
    )
    files = written(plan_file(file, (4,), "F64"))
    assert set(files) == {"style.safetensors"}
    out = load(files["style.safetensors"])
    change = out["lora_unet_a.lora_up.weight"] @ out["lora_unet_a.lora_down.weight"]
    torch.testing.assert_close(change, 0.25 * B.double() @ A.double(), rtol=0, atol=1e-6)


@PEFT_WARNINGS
def test_names_without_pefts_prefix_get_it_where_a_config_says_that_they_are_pefts(tmp_path: Path) -> None:
    A, B = factors(4, (12, 9))
    tensors = {"linear.lora_A.weight": A, "linear.lora_B.weight": B, "head.weight": draw(3, 9)}
    tensors["head.bias"] = draw(3)
    file = opened(tensors, config(4, 8, target_modules=["linear"], modules_to_save=["head"]))
    after = reloaded(tmp_path / "ours", written(plan_file(file, (4,), "F64")))
    torch.testing.assert_close(deltas(after)["linear"], 2 * B.double() @ A.double(), rtol=0, atol=1e-6)
    assert torch.equal(after.base_model.model.head.weight, tensors["head.weight"])


def test_an_alpha_beside_pefts_names_counts_and_must_agree_with_the_config() -> None:
    tensors = peft_file({"a": 4}) | {f"{PREFIX}a.alpha": torch.tensor(2.0)}
    file = opened(tensors)
    assert (file.modules[0].scaling, file.scale_known) == (0.5, True)
    assert {key.rpartition(".")[2] for key in load(written(plan_file(file, (4,)))[WEIGHTS])} == {"weight"}
    assert opened(tensors, config(4, 2)).modules[0].scaling == 0.5
    with pytest.raises(ValueError, match=r"an alpha of its own, for a scaling of 0\.5, .* gives 2:"):
        opened(tensors, config(4, 8))


@pytest.mark.parametrize("exponent", [-320, -200, -100, 100, 200, 300])
def test_numbers_of_any_size_have_their_norm_and_their_error(exponent: int) -> None:
    tensors = {key: tensor.double() for key, tensor in peft_file({"a.q": 4, "b.q": 3}).items()}
    plain = opened(tensors, config(4, 4, rank_pattern={"b.q": 3}, alpha_pattern={"b.q": 3}))
    for key in tensors:
        tensors[key] = tensors[key] * 10.0 ** (exponent // 2)
    file = opened(tensors, config(4, 4, rank_pattern={"b.q": 3}, alpha_pattern={"b.q": 3}))
    ours, theirs = (cut(each, measured(each), (2, 2), "F64") for each in (file, plain))
    precise = 1e-9 if exponent > -310 else 1e-3  # subnormal singular values have few digits
    assert ours.energy == pytest.approx(theirs.energy, rel=precise)
    assert ours.total_error == pytest.approx(theirs.total_error, rel=precise)
    assert ours.error == pytest.approx(theirs.error, rel=precise)
    for one, other in zip(measured(file), measured(plain), strict=True):
        assert math.log10(one.norm) == pytest.approx(math.log10(other.norm) + exponent, abs=1e-3)
    text = json.dumps(as_dict(Summary(file, tuple(measured(file)))), allow_nan=False)
    assert numbers_bought(file, measured(file), 100) == numbers_bought(plain, measured(plain), 100)
    assert "Infinity" not in text


def test_a_tiny_alpha_is_a_tiny_change() -> None:
    file = opened(peft_file({"a": 4}), config(4, 1e-200))
    found = cut(file, measured(file), (2,), "F64")
    assert 0.5 < found.energy < 1
    with pytest.raises(ValueError, match=r"a is too small for F32: .* It must be written in F64"):
        cut(file, measured(file), (2,))


@pytest.mark.parametrize("dtype", PRECISION)
def test_the_bound_on_the_rounding_holds_and_is_not_idle(dtype: str) -> None:
    seen = []
    for scale in (1e-9, 1e-8, 1e-6, 1e-4, 1e-2, 1.0, 100.0):
        tensors = {key: scale * tensor.double() for key, tensor in peft_file({"a": 6}, (40, 30)).items()}
        file = opened(tensors, config(6, 6))
        A, B = (tensors[f"{PREFIX}a.lora_{x}.weight"] for x in "AB")
        for rank in (1, 3, 6):
            if dtype == "F16" and scale < 5e-8:
                with pytest.raises(ValueError, match="a is too small for F16"):
                    cut(file, measured(file), (rank,), dtype)
                continue
            found = cut(file, measured(file), (rank,), dtype)
            out = {key: each.double() for key, each in load(written(found.plan)[WEIGHTS]).items()}
            kept = truncated(B @ A, rank)
            product = out[f"{PREFIX}a.lora_B.weight"] @ out[f"{PREFIX}a.lora_A.weight"]
            error_of = ((product - kept).norm() / kept.norm()).item()
            assert error_of <= found.rounding[0]
            seen.append(found.rounding[0] / max(error_of, 1e-16))
            assert (product - B @ A).norm() <= (found.total_error + found.total_rounding) * (B @ A).norm()
    assert len(seen) > 12
    if dtype != "F64":
        assert median(seen) < 8


@pytest.mark.parametrize(("scale", "words"), [(1e-12, "too small for F16"), (1e5, "too large for F16")])
def test_what_a_precision_cannot_hold_is_refused_before_the_download(scale: float, words: str) -> None:
    tensors = {key: scale * tensor for key, tensor in peft_file({"a": 4, "b": 4}).items()}
    file = opened(tensors, config(4, 8))
    with pytest.raises(ValueError, match=f"a is {words}.* must be written in (F32|BF16)"):
        cut(file, measured(file), (2, 2), "F16")
    assert cut(file, measured(file), (2, 2), "BF16").total_rounding < 0.02
