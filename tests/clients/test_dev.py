"""`wschat dev`, on a terminal and with pipes: what is saved is what the next message reaches, over the same socket."""

import json
import re
import signal
import subprocess
import termios

import pytest

from dev import TABLE, App, Dev, ask, function, route
from harness import PATIENCE, connect, wait_until, wschat


@pytest.fixture
def app(tmp_path):
    app = App(tmp_path / "app")
    wschat("local", "start", "--port", 0, cwd=app.folder)
    yield app
    wschat("local", "stop", cwd=app.folder)


def test_a_saved_handler_answers_over_the_same_socket(app):
    with Dev(app.folder) as dev, connect(dev.ready()) as socket:
        assert (ask(socket, "node"), ask(socket, "python")) == ("one", "one")
        app.save_node("two")
        dev.wait("Node updated in ")
        assert (ask(socket, "node"), ask(socket, "python")) == ("two", "one")
        app.save_python("two")
        dev.wait("Python updated in ")
        assert (ask(socket, "node"), ask(socket, "python")) == ("two", "two")


def test_a_syntax_error_leaves_the_version_before_serving(app):
    with Dev(app.folder) as dev, connect(dev.ready()) as socket:
        app.node.write_text("exports.handler = async () => {\n  const x = ;\n};\n")
        app.python.write_text("def handler(event, context):\n    return {\n")
        dev.wait("syntax error in node/index.js:2")
        dev.wait("syntax error in python/app.py:2")
        dev.wait("the previous version keeps running")
        assert (ask(socket, "node"), ask(socket, "python")) == ("one", "one")
        # One that is repaired does not wait for the other.
        app.save_python("two")
        dev.wait("Python updated in ")
        assert (ask(socket, "node"), ask(socket, "python")) == ("one", "two")
        app.save_node("two")
        dev.wait("Node updated in ")
        assert ask(socket, "node") == "two"


def test_a_saved_template_is_planned_and_applied(app):
    with Dev(app.folder) as dev, connect(dev.ready()) as socket:
        at = len(dev.shown)
        app.template.write_text(app.text + "  Broken: { Type: AWS::DynamoDB::Tabel }\n")
        dev.wait("AWS::DynamoDB::Tabel", at)
        assert ask(socket, "node") == "one"
        # Code is updated meanwhile.
        app.save_node("two")
        dev.wait("Node updated in ", at)
        assert ask(socket, "node") == "two"
        added = app.folder / "added"
        added.mkdir()
        (added / "index.js").write_text(app.node.read_text().replace("two", "added"))
        text = app.text + function("Added", "added", "index.handler", "nodejs22.x") + route("Added", "added", "AddedIntegration")
        app.template.write_text(text)
        dev.wait("stack updated in ", at)
        assert ask(socket, "added") == "added"
        # The new folder is watched, too.
        (added / "index.js").write_text(app.node.read_text().replace("two", "changed"))
        dev.wait("Added updated in ", at)
        assert (ask(socket, "added"), ask(socket, "node")) == ("changed", "two")


def test_quick_saves_end_in_the_last_version(app):
    with Dev(app.folder) as dev, connect(dev.ready()) as socket:
        for version in range(20):
            app.save_node(version)
        wait_until(lambda: ask(socket, "node") == "19", "the last version answers")
        # An editor that writes beside and renames.
        for version in range(20, 40):
            beside = app.node.with_name("index.js___jb_tmp___")
            beside.write_text(app.node.read_text().replace(str(version - 1), str(version)))
            beside.rename(app.node)
        wait_until(lambda: ask(socket, "node") == "39", "the last version answers")


def test_data_is_not_lost_without_a_yes(app):
    app.template.write_text(app.text + TABLE)
    with Dev(app.folder) as dev:
        dev.ready()
        at = len(dev.shown)
        app.template.write_text(app.text)
        dev.wait("(y/n)", at)
        dev.press("n")
        dev.wait("data would be lost", at)
        assert "Table" in wschat("status", "--local", cwd=app.folder, expect=2)
        at = len(dev.shown)
        app.template.write_text(app.text + "\n")
        dev.wait("(y/n)", at)
        dev.press("y")
        dev.wait("stack updated in ", at)
    assert "Table" not in wschat("status", "--local", cwd=app.folder)


@pytest.mark.parametrize("way", ["q", "ctrl-c", "terminated"])
def test_the_terminal_is_as_before(app, way):
    with Dev(app.folder) as dev:
        dev.ready()
        wait_until(lambda: termios.tcgetattr(dev.inner) != dev.before, "single keys are read")
        match way:
            case "q":
                dev.press("q")
            case "ctrl-c":
                dev.interrupt()
            case "terminated":
                dev.process.terminate()
        assert dev.end() == 0
        assert termios.tcgetattr(dev.inner) == dev.before
        dev_said = dev.shown
    assert "The local cloud keeps running; stop it with: wschat local stop" in dev_said
    wschat("local", "status", cwd=app.folder)


def test_it_is_suspended_and_goes_on(app):
    with Dev(app.folder) as dev:
        uri = dev.ready()
        wait_until(lambda: termios.tcgetattr(dev.inner) != dev.before, "single keys are read")
        state = lambda: open(f"/proc/{dev.process.pid}/stat").read().rpartition(")")[2].split()[0]
        dev.process.send_signal(signal.SIGTSTP)
        wait_until(lambda: state() == "T", "it is stopped")
        assert termios.tcgetattr(dev.inner) == dev.before
        dev.process.send_signal(signal.SIGCONT)
        wait_until(lambda: termios.tcgetattr(dev.inner) != dev.before, "single keys are read again")
        app.save_node("two")
        dev.wait("Node updated in ")
        with connect(uri) as socket:
            assert ask(socket, "node") == "two"


def test_keys(app):
    with Dev(app.folder, columns=60) as dev:
        dev.ready()
        dev.press("?")
        dev.wait("send a message")
        dev.press("s")
        dev.wait("send>")
        dev.press('{"action": "node"}\r')
        dev.wait("< one")
        dev.press("r")
        dev.wait("restart which?")
        dev.press("1")
        dev.wait("Node restarted.")
        dev.press("q")
        assert dev.end() == 0


def test_lines_fit_into_narrow_terminals(app):
    with Dev(app.folder, columns=60, variables={"NO_COLOR": "1"}) as dev:
        dev.ready()
        dev.press("q")
        assert dev.end() == 0
        assert not re.search(r"\x1b\[[0-9;]*m", dev.text)
        # Before, several lines are drawn as one piece.
        alone = dev.text[dev.text.index("Watching the template"):]
        pieces = re.split(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]", alone)
        drawn = {piece.strip() for piece in pieces if "? help" in piece}
        assert drawn and all(len(piece) <= 60 for piece in drawn), drawn


def test_without_a_terminal_it_prints_lines(app):
    app.template.write_text(app.text + TABLE)
    with Dev(app.folder, columns=None) as dev:
        uri = dev.ready()
        app.save_node("two")
        dev.wait("Node updated in ")
        with connect(uri) as socket:
            assert ask(socket, "node") == "two"
        app.template.write_text(app.text)
        dev.wait("data would be lost, so nothing was changed")
        dev.interrupt()
        assert dev.end() == 0
        assert "\x1b" not in dev.text
    assert "Table" in wschat("status", "--local", cwd=app.folder, expect=2)


def test_events(app):
    with Dev(app.folder, "--json", columns=None) as dev:
        dev.wait('"event":"watching"')
        app.save_node("two")
        dev.wait('"event":"updated"', dev.wait('"event":"saved"', dev.wait('"event":"watching"')))
        app.node.write_text("exports.handler = (;\n")
        dev.wait('"event":"rejected"')
        dev.interrupt()
        assert dev.end() == 0
    events = [json.loads(line) for line in dev.text.splitlines() if line.startswith("{")]
    saved = next(event for event in events if event["event"] == "saved")
    assert (saved["files"], saved["functions"], saved["template"]) == (["node/index.js"], ["Node"], False)
    updated = next(event for event in events if event["event"] == "updated" and event["functions"])
    assert (updated["functions"], updated["steps"]) == (["Node"], 0)
    rejected = next(event for event in events if event["event"] == "rejected")
    assert "syntax error in node/index.js:1" in rejected["error"]


def test_changed_settings_begin_anew(app):
    with Dev(app.folder, columns=None) as dev:
        dev.ready()
        at = len(dev.shown)
        settings = app.folder / "wschat.toml"
        text = settings.read_text()
        settings.write_text("[default]\nstak = 1\n")
        dev.wait("stak", at)
        settings.write_text(text.replace('stack = "app"', 'stack = "other"'))
        dev.wait("starting again", at)
        dev.wait("Stack other ", at)
        dev.wait("for changes.", at)
        dev.interrupt()
        assert dev.end() == 0


def test_a_function_waits_for_a_debugger(app):
    with Dev(app.folder, "--inspect", "Node", columns=None) as dev:
        uri = dev.ready()
        dev.wait("127.0.0.1:9229")
        with connect(uri) as socket:
            assert ask(socket, "node") == "one"
            listed = subprocess.run(
                ["node", "-e", "fetch('http://127.0.0.1:9229/json/list').then((r) => r.text()).then(console.log)"],
                capture_output=True, text=True, timeout=PATIENCE,
            ).stdout
            assert "webSocketDebuggerUrl" in listed
            app.save_node("two")
            dev.wait("Node updated in ")
            assert ask(socket, "node") == "two"
        dev.interrupt()
        assert dev.end() == 0


def test_a_short_soak():
    from dev_soak import soak

    soak(saves=15)
