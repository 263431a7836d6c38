"""Boards and probes on a page in a real Chromium."""

import pytest
from board_page import board_page
from measures import boxes, places
from polling import settle

pytestmark = pytest.mark.browser


def test_a_board_says_in_words_what_it_shows(open_page):
    tab = open_page(board_page())
    board = tab.locator(".boards li svg.board").first
    label = board.get_attribute("aria-label")
    assert label.startswith("Othello board: 3 black discs, 3 white discs; Black to move; last move D5; captured D4;")
    assert "legal moves" in label
    facts = tab.locator(".boards li").first.locator(".board-facts").inner_text()
    assert "act" in facts
    assert "Black to move" in facts
    n_boards = tab.locator(".boards li svg.board").count()
    assert n_boards == tab.locator(".boards li").count() > 3


def test_boards_stand_in_rows_of_as_many_as_the_layout_says_and_stack_on_narrow_screens(open_page, letters):
    def in_a_row(tab):
        return places(board.left for board in boxes(tab.locator(".boards li"))[:6])

    tab = open_page(board_page(), script=letters)
    settle(tab)
    assert in_a_row(tab) == 2
    tab.set_viewport_size({"width": 420, "height": 900})
    assert in_a_row(tab) == 1
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_keys_go_from_board_to_board_and_open_the_game(open_page):
    tab = open_page(board_page())
    tab.get_by_role("group", name="Examples").focus()
    tab.keyboard.press("ArrowDown")
    first = tab.locator(".boards li").first
    assert first.locator(":focus").count() == 1
    assert "Activation" in tab.locator("#tip").inner_text()
    shown = first.locator("[data-t]").count()
    tab.keyboard.press("e")
    assert first.locator("[data-t]").count() >= shown
    tab.keyboard.press("ArrowDown")
    assert tab.locator(".boards li").nth(1).locator(":focus").count() == 1


def test_squares_say_their_values_to_pointer_and_keyboard(open_page):
    tab = open_page(board_page())
    heat = tab.locator(".heat svg.board")
    assert "most s63 +1.00" in heat.get_attribute("aria-label")
    heat.focus()
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#tip").inner_text().splitlines() == ["s0", "Logit effect −1.00"]
    tab.keyboard.press("ArrowDown")
    assert tab.locator("#tip").inner_text().startswith("s8")
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#tip").inner_text().startswith("s8")  # no square to the left
    tab.keyboard.press("Escape")
    assert not tab.locator("#tip").is_visible()
    box = heat.bounding_box()
    tab.mouse.move(box["x"] + box["width"] - 6, box["y"] + box["height"] - 6)
    assert tab.locator("#tip").inner_text().startswith("s63")
    tab.locator(".heat summary").click()
    assert tab.locator(".heat table tbody tr").nth(27).inner_text().split("\t")[1] == "no such move"


def test_tables_of_probes(open_page):
    tab = open_page(board_page())
    assert tab.locator(".probe h4").inner_text() == "p"
    assert tab.locator(".probe table.up tbody").inner_text().split() == ["maybe", "+0.500"]
    assert tab.locator(".probe table.down tbody").inner_text().split() == ["yes", "−0.250"]
    assert tab.locator(".probe table.up tbody tr").get_attribute("title") == "cosine +0.100"


def test_losses_against_a_reference_are_labelled_and_tell_no_next_token(open_page):
    tab = open_page(board_page(reference=True))
    assert "loss effect (direct, against a reference)" in tab.locator(".legend").inner_text()
    pin_first_loss(tab)
    said = tab.locator("#pin").inner_text()
    assert "Loss effect, direct, against the reference" in said
    assert "Next token" not in said
    plain = open_page(board_page())
    pin_first_loss(plain)
    assert "Next token" in plain.locator("#pin").inner_text()


def pin_first_loss(tab):
    """Pins the first token with a loss effect."""
    settle(tab)
    tab.locator(".boards li .tok.loss").first.click()
    tab.locator("#pin dl").wait_for()
