"""The code of the experiment on the sliders, to copy and to download: two scripts and the trained adapter."""

import streamlit as st

from lora_core.accounting import lora_cost
from lora_core.adapters.peft_terms import peft_terms
from lora_core.course import Course
from lora_core.experiment import Experiment, ScalingRule, Task
from lora_core.export import adapter_zip, peft_script, torch_script
from lora_core.training.run import Run
from pages.code.words import Words
from pages.runtime.runs import advance_run

TICK = 0.5
"""Seconds between two looks at a run that grows."""


def draw_take_home(words: Words, course: Course, run: Run | None) -> None:
    """The three of them in tabs; ``run`` is None for one that has yet to grow."""
    e = course.experiment
    st.markdown(words("take.text", rank=e.rank, task=e.task, epochs=f"{e.epochs:,}"))
    if e.task is Task.DIGITS:
        st.markdown(words("take.digits"))
    tabs = st.tabs([words(f"words.{name}_tab") for name in ("script", "peft", "adapter")])
    with tabs[0]:
        _draw_script(words, "torch", torch_script(course), "lora.py", "words.download_script")
    with tabs[1]:
        _draw_script(words, "peft", peft_script(e), "lora_peft.py", "words.download_peft")
        if course.changes:
            st.caption(words("take.course"))
        _draw_constant(words, e)
    with tabs[2]:
        if run is None:
            st.fragment(_grow, run_every=TICK)(words.lang, course)
        else:
            _draw_adapter(words, run)


def _draw_script(words: Words, name: str, script: str, file: str, label: str) -> None:
    st.markdown(words(f"take.{name}", lines=len(script.splitlines())))
    st.download_button(
        words(label), lambda: script, file, "text/x-python",
        key=f"download {name}", icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    st.code(script, height=500)


def _draw_constant(words: Words, experiment: Experiment) -> None:
    if experiment.scaling_rule is ScalingRule.CONSTANT:
        alpha = f"{peft_terms(experiment).lora_alpha:g}"
        st.caption(words("take.constant", peft_alpha=alpha, scaling=f"{experiment.scaling:g}"))


def _draw_adapter(words: Words, run: Run) -> None:
    e = run.last
    if run.lora.diverged_at is not None:
        st.markdown(words("take.diverged"))
        return
    count = lora_cost(e.in_features, e.out_features, e.rank, e.train_bias).trainable
    texts = [words("take.adapter", numbers=f"{count:,}")]
    texts += [words("take.adapter_bias")] if e.train_bias else []
    st.markdown(" ".join(texts))
    _draw_constant(words, e)
    st.download_button(
        words("words.download_adapter"), lambda: adapter_zip(run), "adapter.zip", "application/zip",
        key="download adapter", icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def _grow(lang: str, course: Course) -> None:
    experiment, run = course.experiment, advance_run(course)
    if run.complete:
        st.rerun()
    done, epochs = f"{run.updates:,}", f"{experiment.epochs:,}"
    st.markdown(Words(lang)("take.growing", done=done, epochs=epochs))
