"""The picture of the code page: the original script in four parts, its fixes, and the code to take home."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from textwrap import dedent
from typing import Any

import pandas as pd
import streamlit as st

from lora_core.accounting import full_cost, lora_cost
from lora_core.experiment import LIMITS, Experiment, Init
from lora_core.fields import IntRange
from lora_core.findings.original_script import ORIGINAL, base_loss, print_losses, printed_losses
from lora_core.layer import LoRALayer, count_parameters
from lora_core.training.loop import create_toy_dataset, train_model
from lora_core.training.run import Run
from pages.code.direction import direct
from pages.code.fixes import draw_fixes, four_digits, known_facts, percent
from pages.code.take_home import draw_take_home
from pages.code.tries import try_button
from pages.code.words import LANGUAGES, Words, texts
from pages.runtime.runs import finished_run, warm_up
from pages.ui.on_the_way import shown_course
from pages.ui.text import harmless

AREA, LANG = "code_page", "lang"
"""Keys of the page's container and of the control for the language."""
TALL = 400
"""Height in CSS pixels of a source that has more lines than fit there."""


def show(experiment: Experiment) -> None:
    """Draw the page for the experiment on the sliders, in the language that the link asks for."""
    warm_up()
    asked = _asked_language()
    with st.container(key=AREA):
        with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
            title = st.container(width="content")
            words = Words(_language(asked))
        title.title(words("title"), width="content")
        direct(AREA, words.lang)
        st.markdown(words("intro"))
        course = shown_course(experiment)
        run = finished_run(course)
        home, walk, wrong = st.tabs(_parts(words.lang), key=_part_key(words.lang), bind="query-params")
        if home.open:
            with home:
                draw_take_home(words, course, run)
        elif walk.open:
            with walk:
                _draw_layer(words, experiment)
                _draw_forward(words, experiment, run)
                _draw_training(words, experiment)
                _draw_counts(words, experiment)
        else:
            with wrong:
                draw_fixes(words, experiment)


def _asked_language() -> str:
    """The code of the language in the link."""
    asked = st.query_params.get(LANG, "en")
    if asked not in LANGUAGES:
        choices = " or ".join(LANGUAGES)
        st.warning(f"lang in the link is `{harmless(asked)}`: it must be {choices}. It is en now.")
        del st.query_params[LANG]
        return "en"
    return asked


def _language(asked: str) -> str:
    """The code of the language chosen by its own name, which is kept in the link."""
    st.session_state.setdefault(LANG, asked)
    # Not bound: a bound widget writes its options into the link as they are shown (seen in Streamlit 1.67.0).
    lang = st.segmented_control(
        "Language", list(LANGUAGES), format_func=lambda code: LANGUAGES[code], required=True, key=LANG,
        on_change=_keep_part, persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    if lang != asked:  # it was chosen before another page was opened
        _link(str(lang))
    return str(lang)


def _link(lang: str) -> None:
    if lang == "en":
        del st.query_params[LANG]
    else:
        st.query_params[LANG] = lang


def _parts(lang: str) -> list[str]:
    """The names of the page's tabs in a language."""
    return [texts(lang)[name] for name in ("take.title", "words.walk", "says.title")]


def _part_key(lang: str) -> str:
    """The key of the tabs: one a language, as a browser opens the first of tabs that have new names."""
    return "part" if lang == "en" else f"part_{lang}"


def _keep_part() -> None:
    """Keep the tab that is open, here and in the link, under its name in the language just chosen."""
    chosen = st.session_state[LANG]
    _link(chosen)
    for lang in LANGUAGES:
        part = st.session_state.get(_part_key(lang))
        if lang != chosen and part is not None:
            place = _parts(lang).index(part)
            st.session_state[_part_key(chosen)] = _parts(chosen)[place]
            if place:  # a tab set from here is not written by its widget (seen in Streamlit 1.67.0)
                st.query_params[_part_key(chosen)] = _parts(chosen)[place]


@st.cache_resource(show_spinner=False)
def _printed() -> list[float]:
    return printed_losses()


def _part(words: Words, name: str, *sources: Callable[..., Any], **values: object) -> Any:
    """A part's title and text, and its sources at full width; returns the column in which its result goes."""
    st.header(words(f"{name}.title"))
    prose, result = st.columns(2, gap="medium")
    prose.markdown(words(f"{name}.text", **values))
    for source in sources:
        text = dedent(inspect.getsource(source))
        st.caption(words("words.source", file=f"{source.__module__.replace('.', '/')}.py"))
        st.code(text, height=TALL if text.count("\n") > 24 else "content")
    return result


def _draw_layer(words: Words, experiment: Experiment) -> None:
    e = ORIGINAL
    column = _part(
        words, "layer", LoRALayer.__init__, rank=e.rank, adapter=e.rank * (e.in_features + e.out_features),
        weights=e.in_features * e.out_features, **{"in": e.in_features, "out": e.out_features},
    )  # fmt: skip
    other = _another_rank(experiment.rank)
    with column:
        st.table(_tensors(words, e, experiment), border="horizontal", hide_index=True)
        try_button(words, words("layer.try", other=other), replace(experiment, rank=other), experiment)
        st.caption(words("layer.hint"))


def _another_rank(rank: int) -> int:
    """Twice the rank, or half of it where there is none so high."""
    limit = LIMITS["rank"]
    assert isinstance(limit, IntRange)
    return 2 * rank if 2 * rank <= limit.greatest else rank // 2


def _tensors(words: Words, *experiments: Experiment) -> pd.DataFrame:
    """The parameters of the layers of some experiments: shape and, where it is frozen, that it is."""
    layers = [
        LoRALayer(e.in_features, e.out_features, e.rank, init=Init.ZERO, train_bias=e.train_bias)
        for e in experiments
    ]
    columns = zip(("words.script", "words.here"), layers, strict=True)
    parameters = {
        words(name): [
            f"{words.number(tuple(p.shape))} {words('words.trained' if p.requires_grad else 'words.frozen')}"
            for p in layer.parameters()
        ]
        for name, layer in columns
    }
    names = [words.number(name) for name, _ in layers[0].named_parameters()]
    return pd.DataFrame({words("words.tensor"): names, **parameters})


def _draw_forward(words: Words, experiment: Experiment, run: Run | None) -> None:
    column = _part(words, "forward", LoRALayer.forward, LoRALayer.delta)
    found = known_facts()
    start, base = [found.start], [found.base]
    if run is not None:
        start.append(float(run.lora.loss[0]))
        base.append(base_loss(run.problem))
    random = experiment.init is Init.ORIGINAL
    change = "zero" if random else "random"
    with column:
        st.latex(r"y = x\,W_0^\top + b + s\,(x A)\,B")
        rows: dict[str, list[str]] = {"": [words("words.loss_start"), words("words.loss_base")]}
        for name, pair in zip(("words.script", "words.here"), zip(start, base, strict=True), strict=False):
            rows[words(name)] = [words.number(four_digits(loss)) for loss in pair]
        st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)
        other = replace(experiment, init=Init.KAIMING if random else Init.ORIGINAL)
        try_button(words, words(f"forward.try_{change}"), other, experiment)
        st.caption(words(f"forward.hint_{change}"))


def _draw_training(words: Words, experiment: Experiment) -> None:
    e = ORIGINAL
    column = _part(
        words, "training", create_toy_dataset, train_model, samples=e.samples, epochs=e.epochs,
        before_last=e.epochs - 1, end=four_digits(known_facts().end),
    )  # fmt: skip
    lines = [f"Epoch {i}/{e.epochs}, Loss: {loss:.4f}" for i, loss in enumerate(_printed(), 1)]
    with column:
        st.caption(words("training.printed"))
        st.code("\n".join(lines), language=None)
        try_button(words, words("training.try"), e, experiment)
        st.caption(words("training.hint"))


def _draw_counts(words: Words, experiment: Experiment) -> None:
    e, found = ORIGINAL, known_facts()
    column = _part(
        words, "counts", count_parameters, print_losses, total=found.total, trainable=found.trainable,
        share=percent(found.trainable, found.total), adapter=found.trainable_frozen,
        bias=found.trainable - found.trainable_frozen,
    )  # fmt: skip
    change = "freeze" if experiment.train_bias else "train"
    with column:
        st.table(_counts(words, e, experiment), border="horizontal", hide_index=True)
        other = replace(experiment, train_bias=not experiment.train_bias)
        try_button(words, words(f"counts.try_{change}"), other, experiment)
        st.caption(words("counts.hint"))


def _counts(words: Words, script: Experiment, here: Experiment) -> pd.DataFrame:
    """Trainable and total numbers: the script's, the adapter's on the sliders, full fine-tuning's there."""
    size = here.in_features, here.out_features
    columns = {
        "words.script": lora_cost(script.in_features, script.out_features, script.rank, script.train_bias),
        "words.here": lora_cost(*size, here.rank, here.train_bias),
        "words.full": full_cost(*size, here.train_bias),
    }
    rows = {"": [words(f"words.{name}") for name in ("trainable", "total", "share")]}
    for name, cost in columns.items():
        texts = f"{cost.trainable:,}", f"{cost.total:,}", percent(cost.trainable, cost.total)
        rows[words(name)] = [words.number(text) for text in texts]
    return pd.DataFrame(rows)
