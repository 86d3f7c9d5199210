"""The command that makes the README's pictures makes exactly those, and none lies about that no one makes."""

import re

from tests.pictures import FOLDER, PICTURES, ROOT


def test_the_command_makes_the_pictures_of_the_readme_and_no_other() -> None:
    made = {f"{FOLDER.relative_to(ROOT).as_posix()}/{name}.png" for name in PICTURES}
    kept = {each.relative_to(ROOT).as_posix() for each in FOLDER.iterdir()}
    shown = set(re.findall(r"\(([^)]+\.png)\)|srcset=\"([^\"]+)\"", (ROOT / "README.md").read_text()))
    assert kept == made
    assert {first or second for first, second in shown} <= made
    assert shown


def test_every_picture_is_as_wide_as_the_window_it_is_taken_in() -> None:
    for name in PICTURES:
        head = (FOLDER / f"{name}.png").read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == (1280, 720)
