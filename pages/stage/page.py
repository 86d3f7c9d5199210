"""The stage: a question, the audience's guess, and after the reveal curves, the answer and a sentence.

The stylesheet of the keys' component enlarges the page for the back row; the speaker's settings are below it.
The visitor's own experiment is not touched: the stage shows its scenes only.
"""

import streamlit as st

from lora_core.course import Course
from lora_core.experiment import Experiment
from lora_core.figures.loss.numbers import LossInfo, alt_text, loss_info
from lora_core.figures.ranks.numbers import RanksInfo, knee_words, ranks_info
from lora_core.figures.stage import views
from lora_core.figures.stage.curves import draw_scene, draw_scene_ranks, scene_alt, scene_ranks_alt
from lora_core.findings.verdict import verdict
from lora_core.talk.numbers import SceneNumbers, Unit
from lora_core.talk.scenes import Scene
from lora_core.theory import TOLERANCE
from lora_core.training.run import Run
from lora_core.training.sweep import Sweep
from pages.components.live_chart import live_chart, preload
from pages.components.scene_view import scene_view
from pages.components.still_chart import steady_chart
from pages.runtime.networks import LORA
from pages.runtime.runs import RUNS, advance_run, finished_run, warm_up
from pages.runtime.sweeps import SWEEPS, Plan, grows, problem_of, ranks_plan, trained
from pages.stage.acts import perform, remember_guess
from pages.stage.following import publish, waiting_acts
from pages.stage.keys import stage_keys
from pages.stage.setup import draw_scenes, draw_talk, numbers_of, prefetch
from pages.stage.state import Stage, guess_key, middle, write_link
from pages.stage.words import draw_words, is_trained
from pages.ui.link import name_of_course
from pages.ui.on_the_way import words_of_change
from pages.ui.text import plain

HEIGHT = 400
"""Height of the chart in CSS pixels on a phone; elsewhere the window decides."""


def show(stage: Stage) -> None:
    """Draw the current scene."""
    preload()
    warm_up()
    draw_scenes(stage)
    scene = stage.scene
    facts = _facts_now(stage)
    with st.container(key="stage_question"):
        place = f"{stage.place + 1}/{len(stage.talk.scenes)}"
        st.markdown(f"# :gray[{place}] {plain(facts.filled(scene.question))}")
    tick = _tick(scene, stage.experiment, facts)
    with st.container(key="stage_chart"):
        st.fragment(_picture, run_every=tick)(stage, stage.experiment, tick is not None)
    with st.container(key="stage_below"):
        if not scene.asks:
            st.markdown(f"## {plain(facts.filled(scene.steps[stage.step]))}")
        elif stage.is_revealed:
            _draw_answer(stage, facts)
        else:
            _draw_guess(stage)
    stage_keys(stage)
    if stage.followed:
        publish(stage)
        st.fragment(_obey, run_every=0.5)(stage)
    _draw_buttons(stage)
    write_link(stage)
    draw_talk(stage)
    if is_trained(facts):
        prefetch(stage)


def _obey(stage: Stage) -> None:
    """Rerun the page if the speaker's notes have left an act."""
    if waiting_acts(stage.token):
        st.rerun()


def _facts_now(stage: Stage) -> SceneNumbers:
    """The numbers of what is shown: with a changed rank those of its run, once it is trained."""
    facts = numbers_of(stage.scene)
    if stage.experiment == stage.scene.experiment:
        return facts
    changed = finished_run(_course(stage.scene, stage.experiment))
    return facts if changed is None else SceneNumbers(changed, facts.beside)


def _tick(scene: Scene, experiment: Experiment, facts: SceneNumbers) -> float | None:
    """Seconds between redraws of the scene's run or sweep, or None if it is complete."""
    if scene.network is not None:
        return None if is_trained(facts) else LORA.tick()
    if scene.view == "ranks":
        return SWEEPS.tick() if grows(ranks_plan(experiment)) else None
    return RUNS.tick() if finished_run(_course(scene, experiment)) is None else None


def _course(scene: Scene, experiment: Experiment) -> Course:
    """The scene's experiment, perhaps at another rank, with what changes on its way."""
    return Course(experiment, scene.changes)


def _picture(stage: Stage, experiment: Experiment, growing: bool) -> None:
    """Draw what the scene shows; if it was growing, its completion reruns the page."""
    draw = {"loss": _draw_loss, "ranks": _draw_ranks, "words": _draw_words}.get(stage.scene.view, _draw_view)
    if draw(stage, experiment) and growing:
        st.rerun()


def _draw_words(stage: Stage, _: Experiment) -> bool:
    """Draw the scene of a small network after another tick of training."""
    return draw_words(stage, numbers_of(stage.scene), HEIGHT)


def _draw_view(stage: Stage, experiment: Experiment) -> bool:
    """Draw bars, digits or a drawing, and return whether what it shows is trained."""
    scene = stage.scene
    if scene.view == "digits":
        run = finished_run(experiment)
        if run is None:
            st.markdown("## Training …")
            return False
        drawing = views.reading_drawing(views.reading_info(run), revealed=stage.is_revealed)
    elif scene.view == "share":
        guess = _guess_of(stage, Unit.PERCENT)
        most = scene.guess.greatest if scene.guess is not None and _guesses(scene, Unit.PERCENT) else 100
        info = views.share_info(experiment)
        drawing = views.share_drawing(info, revealed=stage.is_revealed, guess=guess, most=most)
    elif scene.view == "layer":
        drawing = views.layer_drawing(views.share_info(experiment), stage.step)
    else:
        drawing = views.picture_drawing(views.picture_info(), stage.step)
    scene_view(drawing, key="stage_view", telling=stage.telling)
    return True


def _draw_loss(stage: Stage, experiment: Experiment) -> bool:
    """Draw the run after another tick of training, and return whether it is complete."""
    scene, revealed = stage.scene, stage.is_revealed
    run = advance_run(_course(scene, experiment))
    info = _info(scene, run)
    guess = _guess_of(stage, Unit.LOSS)
    ends = None if guess is None and not _guesses(scene, Unit.LOSS) else _ends(scene)
    base = float(run.full.loss[0])
    live_chart(
        draw_scene(info, base, revealed=revealed, guess=guess, ends=ends),
        run_id=run.fingerprint if revealed else f"before-{run.fingerprint}",
        epochs=experiment.epochs, key="stage_loss", height=HEIGHT, zoom=scene.name, play=stage.telling,
        streaming=None if run.complete else (run.updates, experiment.epochs),
        marks=[(each.update, words_of_change(each)) for each in run.course.changes],
        alt=scene_alt(alt_text(info), base, revealed=revealed, guess=guess),
    )  # fmt: skip
    return run.complete


def _info(scene: Scene, run: Run) -> LossInfo:
    """Curves of the run, with the run beside it, or with the scene's own if the experiment was changed."""
    scenes_own = run.experiment == scene.experiment
    beside: Course | None = scene.course
    if scenes_own:
        beside = None if scene.beside is None else Course(scene.beside)
    other = None if beside is None else finished_run(beside)
    pins = (
        [] if beside is None or other is None else [(name_of_course(beside, run.course).capitalize(), other)]
    )
    return loss_info(run, pins=pins)


def _draw_ranks(stage: Stage, experiment: Experiment) -> bool:
    """Draw the sweep, or its progress until it has every rank; return whether it has."""
    plan = ranks_plan(experiment)
    sweep = trained(plan, "stage")
    if not sweep.complete:
        st.markdown(f"## {sweep.done} of {sweep.total} ranks trained")
        st.progress(sweep.progress)
        return False
    info = _ranks_info(plan, sweep)
    revealed, guess = stage.is_revealed, _guess_of(stage, Unit.RANK)
    steady_chart(
        draw_scene_ranks(info, revealed=revealed, guess=guess), key="stage_ranks", height=HEIGHT,
        alt=scene_ranks_alt(info, knee_words(info, TOLERANCE), revealed=revealed, guess=guess),
    )  # fmt: skip
    return True


def _ranks_info(plan: Plan, sweep: Sweep) -> RanksInfo:
    return ranks_info(sweep, problem_of(plan.experiment))


def _guesses(scene: Scene, unit: Unit) -> bool:
    return scene.guess is not None and scene.guess.unit is unit


def _guess_of(stage: Stage, unit: Unit) -> float | None:
    """The guess in this unit, for the chart's axis, else None."""
    if isinstance(stage.guess, float) and _guesses(stage.scene, unit):
        return stage.guess
    return None


def _ends(scene: Scene) -> tuple[float, float] | None:
    return None if scene.guess is None else (scene.guess.least, scene.guess.greatest)


def _draw_guess(stage: Stage) -> None:
    scene, guess, before = stage.scene, stage.scene.guess, stage.guess
    key = guess_key(stage)
    if guess is None:
        says = [choice.says for choice in scene.choices]
        value: float | str | None = st.segmented_control(
            "Our guess", says, default=before if before in says else None, key=key, format_func=plain,
            on_change=remember_guess, args=(stage,),
        )  # fmt: skip
    else:
        value = st.select_slider(
            "Our guess", guess.options, value=before if before in guess.options else middle(guess), key=key,
            format_func=guess.text, on_change=remember_guess, args=(stage,),
        )  # fmt: skip
    untouched = before if guess is None or before is not None else middle(guess)
    if stage.fresh and value is not None and value != untouched:
        stage.guesses[stage.name], stage.acted = value, True


def _draw_answer(stage: Stage, facts: SceneNumbers) -> None:
    """Draw guess, answer and sentence; of a reveal that is played they come one after another."""
    with st.container(key="stage_telling" if stage.telling else "stage_told"):
        with st.container(key="stage_answer"):
            st.markdown(_answer(stage, facts))
        with st.container(key="verdict"):
            st.markdown(f"## {plain(_sentence(stage, facts))}")


def _answer(stage: Stage, facts: SceneNumbers) -> str:
    """Guess and answer; an answer at a changed rank says so, or is left out if no choice is right there."""
    scene, guess = stage.scene, stage.guess
    changed = stage.experiment != scene.experiment
    if scene.guess is None:
        said, truth = guess, _right(scene, facts)
        mark = "" if guess is None or changed else _MARKS[guess == truth]
    else:
        said = scene.guess.text(guess) if isinstance(guess, float) else None
        truth, mark = facts.text(scene.guess.number), ""
    mark = mark if is_trained(facts) else ""
    guessed = "No guess" if said is None else f"Our guess: **{plain(str(said))}**{mark}"
    if not is_trained(facts):
        return guessed
    if truth is None:
        return f"{guessed} · Now it is rank **{stage.experiment.rank}**"
    it_is = "It is" if scene.guess is not None else "Right:"  # a choice is often a sentence
    it_is = f"At rank {stage.experiment.rank} {it_is.lower()}" if changed else it_is
    return f"{guessed} · {it_is} **{plain(truth)}**"


_MARKS = {True: " :material/check:", False: " :material/close:"}


def _right(scene: Scene, facts: SceneNumbers) -> str | None:
    """The right answer of choices, None if the numbers of another rank make none or several right."""
    right = [choice.says for choice in scene.choices if all(each.holds(facts) for each in choice.when)]
    return right[0] if len(right) == 1 else None


def _sentence(stage: Stage, facts: SceneNumbers) -> str:
    """The scene's sentence; at another rank, which it is not about, the verdict on that run.

    In the view of ranks, if the run is not finished, the knee of the sweep.
    """
    scene, experiment = stage.scene, stage.experiment
    if not is_trained(facts):
        return "Training …"
    if experiment == scene.experiment:
        return facts.filled(scene.sentence)
    run = finished_run(_course(scene, experiment))
    if run is not None:
        return verdict(run).sentence
    plan = ranks_plan(experiment)
    sweep = SWEEPS.kept(plan) if scene.view == "ranks" else None
    return "Training …" if sweep is None else knee_words(_ranks_info(plan, sweep), TOLERANCE)


def _draw_buttons(stage: Stage) -> None:
    """Buttons for the keys' acts, for mouse and touch."""
    scene, revealed, last = stage.scene, stage.is_revealed, len(stage.talk.scenes) - 1
    what = "rank" if revealed or not scene.asks else "guess"
    still = revealed and scene.network is not None  # its ranks are its modules' own
    reveal = ("reveal", "Hide again" if revealed else "Reveal", ":material/visibility:", False)
    grow = ("reveal", "Go on", ":material/add_circle:", stage.step >= len(scene.steps) - 1)
    buttons = (
        ("previous", "Back", ":material/arrow_back:", stage.place == 0),
        ("next", "Next", ":material/arrow_forward:", stage.place == last),
        reveal if scene.asks else grow,
        ("down", f"Lower {what}", ":material/remove:", still),
        ("up", f"Higher {what}", ":material/add:", still),
        ("present", "Show all" if stage.hidden else "Present", ":material/co_present:", False),
    )
    with st.container(key="stage_buttons", horizontal=True, vertical_alignment="center"):
        for act, label, icon, disabled in buttons:
            pressed = st.button(
                label, key=f"stage {act}", icon=icon, disabled=disabled, on_click=perform, args=(stage, act),
                type="primary" if act == "reveal" else "secondary",
            )  # fmt: skip
            if pressed and stage.fresh:
                perform(stage, act)
                st.rerun()
        stage.fresh = False
        with st.container(key="stage_hint"):
            st.caption("Press **?** for the keys, **Q** for a code that phones can read.")
