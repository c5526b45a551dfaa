from vrestore.data.progress import tracked


def test_items_pass_unchanged_with_and_without_a_terminal(monkeypatch):
    items = list(range(20))
    assert list(tracked(items, "Counting")) == items
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes rich take the stream for a terminal
    assert list(tracked(items, "Counting")) == items
    assert list(tracked(items, "Counting", show=False)) == items


def test_a_bar_is_shown_on_a_terminal_alone(monkeypatch, capsys):
    list(tracked(list(range(20)), "Counting"))
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    list(tracked(list(range(20)), "Counting"))
    assert "Counting" in capsys.readouterr().err
