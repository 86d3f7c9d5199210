"""Page of adapters: sentence, bytes, map, spectrum, cut, and the files to take home."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lora_core.adapters.cutting import Cut
from lora_core.adapters.source import CONFIG, WEIGHTS
from lora_core.adapters.summary import composition, headline, remarks, scaling_words
from lora_core.course import Course
from lora_core.experiment import Experiment
from lora_core.figures.adapter.map import MEASURES, draw_map, map_alt, map_info
from lora_core.figures.adapter.spectrum import draw_spectrum, spectrum_info, spectrum_words
from lora_core.formatting import plural
from pages.adapter.cut import Choice, choose_cut, draw_cut, draw_sizes_chart, draw_table
from pages.adapter.follow import follow_slider
from pages.adapter.opened import (
    BUDGET,
    TICK,
    Opened,
    leave,
    own,
    take_upload,
    trained,
    trouble,
    upload_key,
    waiting_for,
)
from pages.adapter.take_home import draw_take_home
from pages.components.rank_chart import click_chart, click_message
from pages.components.still_chart import steady_chart
from pages.runtime.runs import advance_run, warm_up
from pages.ui.choice import choose_one
from pages.ui.on_the_way import shown_course
from pages.ui.text import plain

HEIGHT = 320
_MODULE = "adapter_module"


def show(experiment: Experiment) -> None:
    """Draw the uploaded adapter, or the one that the experiment trains."""
    warm_up()
    said = st.container(key="verdict")
    _draw_opening()
    opened = own() or _of_the_playground(experiment, said)
    if opened is None:
        said.markdown("# This experiment has no adapter to open: it diverged.")
        return
    if not opened.complete:
        said.markdown(f"# Reading {plural(len(opened.file.modules), 'module')}.")
        st.fragment(_grow, run_every=TICK)(opened)
        return
    summary = opened.summary
    said.markdown(f"# {plain(headline(summary))}")
    with said:
        st.caption(
            plain(f"{_origin(opened)}: {composition(opened.file)} Scaling {scaling_words(opened.file)}.")
        )
        if found := remarks(summary):
            st.caption(plain(" ".join(found)))
    _draw_adapter(opened)


def _draw_adapter(opened: Opened) -> None:
    left, right = st.columns([0.55, 0.45])
    with right:
        st.markdown("**Cut to size**")
        try:
            made: tuple[Choice, Cut] | None = choose_cut(opened)
        except ValueError as error:
            st.warning(plain(str(error)), icon=":material/error:")
            made = None
    with left:
        chosen = _choose_module(opened)
        _draw_spectrum(opened, chosen, None if made is None else made[1])
    if made is None:
        return
    choice, found = made
    with right:
        with st.container(horizontal=True, key="adapter_numbers"):
            draw_cut(opened, found)
        draw_sizes_chart(opened, found)
        st.caption(
            "Energy kept is not loss kept: what a cut costs depends on the inputs. On the playground's task "
            "it is measured under **Train large, then cut?** on this page:"
        )
        st.page_link("pages/1_Every_rank.py", label="Every rank", icon=":material/bar_chart:")
    draw_table(opened, found, opened.summary.spectra)
    draw_take_home(found)
    follow_slider(opened, choice, chosen)


def _draw_opening() -> None:
    """Draw the uploader, and the button that returns to the playground's adapter."""
    st.file_uploader(
        f"Your own: {WEIGHTS} with {CONFIG}, or a zip of both",
        accept_multiple_files=True, key=upload_key(), on_change=take_upload,
        help="Together or one after the other; a .safetensors file of kohya, diffusers or cloneofsimo by "
        "itself. It stays in this server's memory, is shown to nobody else, and goes when you do.",
    )  # fmt: skip
    if trouble():
        st.warning(plain(trouble()), icon=":material/error:")
    if waiting_for():
        st.info(f"Now add {waiting_for()}.", icon=":material/upload:")
    if own() is not None:
        st.button("Back to the playground's adapter", icon=":material/tune:", on_click=leave)


def _of_the_playground(experiment: Experiment, said: DeltaGenerator) -> Opened | None:
    """The adapter that the experiment trains, tick by tick if that takes long; None if the run diverged."""
    course = shown_course(experiment)
    run = advance_run(course)
    if not run.complete:
        said.markdown("# The playground's adapter is still being trained.")
        st.fragment(_wait_for, run_every=TICK)(course)
        st.stop()
    return None if run.lora.diverged_at is not None else trained(run)


def _wait_for(course: Course) -> None:
    experiment, run = course.experiment, advance_run(course)
    if run.complete:
        st.rerun()
    st.progress(run.updates / experiment.epochs, f"{run.updates:,} of {experiment.epochs:,} updates")


def _origin(opened: Opened) -> str:
    count = plural(len(opened.file.modules), "module")
    if own() is None:
        return f"The adapter that the playground has just trained, {count}"
    return f"{opened.name}, {count}, names of {opened.file.family}"


def _grow(opened: Opened) -> None:
    opened.advance(BUDGET)
    if opened.complete:
        st.rerun()
    done, total = len(opened.spectra), len(opened.file.modules)
    st.progress(done / total, f"{done} of {total} modules read")
    info = map_info(opened.grid, dict(opened.spectra), next(iter(MEASURES)))
    message = click_message(draw_map(info), alt=map_alt(info), height=info.height)
    click_chart(message, opened.grid.shape, key="adapter_map growing", on_click=lambda row, column: None)


def _choose_module(opened: Opened) -> int:
    """Index of the module in focus, chosen by a click on the map or in the list above it."""
    paths = [module.path for module in opened.file.modules]
    if len(paths) == 1:
        return 0
    if st.session_state.get(_MODULE) not in paths:
        st.session_state[_MODULE] = paths[0]
    first, second = st.columns(2)
    measure = choose_one("Colour by", list(MEASURES), place=first, key="adapter_colour", bind="query-params")
    chosen = paths.index(choose_one("Module", paths, place=second, key=_MODULE))
    _draw_map(opened, measure, chosen)
    return chosen


def _draw_map(opened: Opened, measure: str, chosen: int) -> None:
    info = map_info(opened.grid, opened.spectra, measure, chosen)

    def clicked(row: int, column: int) -> None:
        index = opened.grid.at(row, column)
        if index is not None:
            st.session_state[_MODULE] = opened.file.modules[index].path

    message = click_message(draw_map(info), alt=map_alt(info), height=info.height)
    click_chart(message, opened.grid.shape, key="adapter_map", on_click=clicked)
    st.caption("A click on a cell shows its module below.")


def _draw_spectrum(opened: Opened, chosen: int, found: Cut | None) -> None:
    module, spectrum = opened.file.modules[chosen], opened.spectra[chosen]
    if not spectrum.finite:
        st.caption(plain(f"{module.path} holds numbers that are not finite: it has no spectrum."))
        return
    kept = module.largest_rank if found is None else found.ranks[chosen]
    info = spectrum_info(spectrum, module.rank, kept)
    words = spectrum_words(info)
    steady_chart(
        draw_spectrum(info), key="adapter_spectrum", alt=f"Spectrum of {module.path}. {words}", height=HEIGHT
    )
    with st.container(key="adapter_words"):
        st.caption(plain(words))
