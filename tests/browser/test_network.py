"""The small network in a real browser: does it grow, turn with the scrub bar, and take a rank by a click?

Run with `-s` to see the measured figures.
"""

import re
from time import monotonic

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.kit.browser import seen_after, still

PAGE = "A_small_network"
QUICK = "net_updates=20&net_batch=8"
COPIER = "net_network=copier&net_learning_rate=0.01&net_full_learning_rate=0.004&net_updates=30&net_batch=8"


@pytest.fixture(scope="module")
def app(serve) -> str:
    return serve("app.py")


@pytest.fixture(scope="module")
def tab(app, open_shared_page) -> Page:
    page = open_shared_page(f"{app}/{PAGE}?{QUICK}")
    complete(page)
    return page


def chart(page: Page) -> Locator:
    return page.get_by_test_id("live-chart")


def complete(page: Page, looks: int = 4) -> None:
    """Wait until both lanes are trained to their end and drawn."""
    expect(chart(page)).to_have_attribute("data-state", "paused", timeout=60_000)
    expect(chart(page)).to_have_attribute("data-epochs", str(looks), timeout=60_000)
    expect(page.get_by_test_id("network-words")).to_have_attribute("data-look", str(looks))


def scrub(page: Page, look: int) -> None:
    """Let a hand go of the scrub bar at a look."""
    act = """(bar, look) => {
      bar.value = look;
      for (const type of ["input", "change"]) bar.dispatchEvent(new Event(type));
    }"""
    chart(page).get_by_label("Epoch").evaluate(act, str(look))
    expect(page.get_by_test_id("network-words")).to_have_attribute("data-look", str(look))


def column(page: Page, place: int) -> list[str]:
    return page.locator(f".network-words td:nth-child({place})").all_inner_texts()


def test_words_plane_and_modules_follow_the_scrub_bar(tab: Page) -> None:
    scrub(tab, 0)
    before = column(tab, 1)
    assert len(before) == 12
    assert column(tab, 2) == column(tab, 3) == before
    place = "[...document.querySelectorAll('.network-plane rect')].map(dot => dot.getAttribute('transform'))"
    first = tab.evaluate(place)
    assert first[0] == first[1]
    module = tab.locator("[data-module='0.up']")
    expect(module).to_have_attribute("aria-label", re.compile("Changed by 0.0 % with LoRA, 0.0 % in full"))
    scrub(tab, 4)
    assert column(tab, 1) == before
    assert column(tab, 2) != before
    assert column(tab, 3) != before
    last = tab.evaluate(place)
    assert len(set(first + last)) == 3
    expect(module).not_to_have_attribute("aria-label", re.compile(r"Changed by 0\.0 %"))


def test_the_read_out_counts_updates_and_not_looks(tab: Page) -> None:
    scrub(tab, 2)
    expect(chart(tab).locator(".count")).to_have_text("10 / 20")
    expect(chart(tab).locator(".readout")).to_contain_text("after 10 updates")
    expect(chart(tab).locator(".readout")).to_contain_text("new names")
    expect(chart(tab).locator(".readout")).not_to_contain_text("training")
    scrub(tab, 4)


def test_a_playback_moves_the_words_and_asks_the_server_nothing(tab: Page) -> None:
    tab.evaluate("""() => {
      window.seen = new Set();
      const table = document.querySelector(".network-words");
      const watch = { childList: true, subtree: true, characterData: true };
      new MutationObserver(() => seen.add(table.innerText)).observe(table, watch);
    }""")
    chart(tab).get_by_label("Speed").select_option("4")
    chart(tab).get_by_role("button", name="Play").click()
    expect(chart(tab)).to_have_attribute("data-state", "playing")
    expect(tab.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    expect(chart(tab)).to_have_attribute("data-state", "paused", timeout=20_000)
    assert tab.evaluate("seen.size") >= 3


def test_a_click_gives_a_module_a_rank_of_its_own(tab: Page) -> None:
    node = tab.evaluate("document.querySelector('.live-chart').kept = true")
    assert node
    tab.locator("[data-module='1.down']").click()
    slider = tab.locator(".st-key-network-module-rank input")
    expect(tab.get_by_text("Rank of layers.1.mlp.down_proj, 192 x 48")).to_be_visible()
    slider.press("ArrowRight")
    expect(tab.locator("[data-module='1.down']")).to_have_attribute("aria-label", re.compile("rank 6,"))
    complete(tab)
    assert "net_ranks=1.down" in tab.url
    assert tab.evaluate("document.querySelector('.live-chart').kept") is True
    tab.get_by_role("button", name="As the others").click()
    expect(tab.locator("[data-module='1.down']")).to_have_attribute("aria-label", re.compile("rank 4,"))
    complete(tab)


def test_a_new_value_paints_its_first_points_at_once_and_its_curve_soon(app, open_page, within) -> None:
    """From the key to the first points of another run of the usual length, and to its whole curve.

    Measured without a browser on the same cores they take 0.3 s and 1.4 s.
    """
    page = open_page(f"{app}/{PAGE}?net_seed=2")
    complete(page, 20)
    rate = page.locator(".st-key-net_learning_rate input")
    whole = []

    def first_points() -> float:
        before, start = chart(page).get_attribute("data-run"), monotonic()
        rate.press("ArrowLeft")
        page.wait_for_function(
            "before => document.querySelector('.live-chart').dataset.run !== before", arg=before
        )
        took = monotonic() - start
        complete(page, 20)
        whole.append(1000 * (monotonic() - start))
        return 1000 * took

    within(600, first_points, page, "new rate to first points in ms")

    def curve() -> float:
        first_points()
        return whole[-1]

    within(2500, curve, page, "new rate to the whole curve in ms")


def test_the_page_follows_a_held_rank_once_every_rank_is_trained(tab: Page) -> None:
    """By mouse on its own control and by keys on the sidebar's; the release brings the same picture."""
    ranks, headline = tab.get_by_test_id("network-ranks"), tab.locator(".st-key-network_verdict")
    tab.locator(".st-key-net_rank input").focus()
    expect(ranks).to_have_attribute("data-state", "trained", timeout=60_000)
    before = chart(tab).get_attribute("data-run")
    slider, place = (
        still(ranks.get_by_role("slider")),
        ranks.locator(".ends > span", has_text=re.compile("^16")),
    )
    knob, end = ranks.locator(".knob").bounding_box(), place.bounding_box()
    assert knob
    assert end
    words = column(tab, 2)
    tab.mouse.move(knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(end["x"] + end["width"] / 2, knob["y"] + knob["height"] / 2, steps=5)
    expect(chart(tab)).to_have_attribute("data-held", "16")
    expect(headline).to_contain_text("LoRA trains 27,648 numbers")
    expect(tab.locator("[data-module='0.q']")).to_have_attribute(
        "aria-label", re.compile("rank 16, 1,536 numbers")
    )
    expect(chart(tab).locator(".readout")).to_contain_text("LoRA, rank 16")
    expect(chart(tab).locator("text", has_text="floor")).to_have_count(0)
    held, said = column(tab, 2), headline.inner_text()
    assert held != words
    assert chart(tab).get_attribute("data-run") == before
    title = ".st-key-network_verdict h1"
    told = tab.locator(title).text_content()
    assert seen_after(tab, title, "of an older answer") == told
    tab.mouse.up()
    expect(chart(tab)).not_to_have_attribute("data-run", str(before))
    expect(chart(tab)).not_to_have_attribute("data-held", "16")
    assert "net_rank=16" in tab.url
    assert (column(tab, 2), headline.inner_text()) == (held, said)
    slider.focus()
    for _ in range(3):
        tab.keyboard.press("ArrowLeft")
    expect(headline).to_contain_text("LoRA trains 10,368 numbers")
    tab.wait_for_url(re.compile("net_rank=6"))
    tab.locator(".st-key-net_rank input").press("ArrowRight")
    expect(ranks).to_have_attribute("data-rank", "8")
    expect(headline).to_contain_text("LoRA trains 13,824 numbers")
    tab.wait_for_url(re.compile("net_rank=8"))
    complete(tab)


def test_the_copier_strikes_what_is_wrong(app, open_page) -> None:
    page = open_page(f"{app}/{PAGE}?{COPIER}")
    complete(page, 6)
    scrub(page, 0)
    assert page.locator(".network-words s").count() > 24
    expect(page.get_by_test_id("network-plane").locator("text").last).to_contain_text("error on repeating")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out(app, open_page, scheme: str) -> None:
    page = open_page(f"{app}/{PAGE}?{QUICK}", viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    complete(page)
    sticks = """() => {
      const wide = document.documentElement.clientWidth;
      const parts = document.querySelectorAll(".network-view, .network-view > *, .live-chart");
      return [...parts].filter((part) => part.getBoundingClientRect().right > wide + 1).length;
    }"""
    for width in (1280, 1920, 390):
        page.set_viewport_size({"width": width, "height": 900})
        view = page.get_by_test_id("network-modules")
        page.wait_for_function(
            "view => view.firstChild.getAttribute('width') == view.getBoundingClientRect().width",
            arg=view.element_handle(),
        )
        assert page.evaluate(sticks) == 0
        words = view.locator("text.name").all_text_contents()
        assert {"q", "k", "v", "o", "up", "down", "head"} <= set(words)
