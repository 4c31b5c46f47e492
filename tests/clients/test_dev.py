"""`wschat dev`, on a terminal and with pipes: what is saved is what the next message reaches, over the same socket."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from socket import create_connection
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import pytest

from dev import TABLE, App, Dev, ask, function, route
from harness import INSTALLING, PATIENCE, ROOT, WSCHAT, connect, wait_until, wschat


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


def test_an_error_that_no_longer_holds_is_said_to_be_over(app):
    """What is saved is what was deployed before, so nothing is updated."""
    with Dev(app.folder) as dev:
        dev.ready()
        code = app.node.read_text()
        app.node.write_text("exports.handler = (;\n")
        at = dev.wait("syntax error in node/index.js:1")
        app.python.write_text("def handler(event, context):\n    return {\n")
        at = dev.wait("syntax error in python/app.py:2", at)
        app.node.write_text(code)
        # The other error holds.
        app.save_python("two")
        at = dev.wait("Python updated in ", at)
        app.node.write_text("exports.handler = (;\n")
        at = dev.wait("syntax error in node/index.js:1", at)
        app.node.write_text(code)
        at = dev.wait("✓ what is saved is deployed", at)
        app.template.write_text("Resources: [\n")
        at = dev.wait("the next save of the template plans again", at)
        app.template.write_text(app.text)
        dev.wait("✓ what is saved is deployed", at)
        assert dev.shown.count("✓ what is saved is deployed") == 2


def test_a_template_that_has_gone_may_come_back(app):
    """As with the checkout of another branch."""
    with Dev(app.folder) as dev, connect(dev.ready()) as socket:
        app.template.rename(app.folder / "other")
        at = dev.wait("there is no template here")
        app.save_node("two")
        at = dev.wait("Node updated in ", at)
        (app.folder / "other").rename(app.template)
        at = dev.wait("✓ what is saved is deployed", at)
        app.template.write_text(app.text + route("Again", "again", "NodeIntegration"))
        dev.wait("stack updated in ", at)
        assert ask(socket, "again") == "two"


def test_ctrl_c_during_a_deployment_says_what_it_waits_for(app):
    wschat("local", "stop", cwd=app.folder)
    wschat("local", "start", "--port", 0, "--conditions", ROOT / "docs/aws-conditions.toml", cwd=app.folder)
    with Dev(app.folder) as dev:
        dev.wait("creating")
        dev.interrupt()
        dev.wait("Stopping: running steps finish and are kept, no others start.")
        dev.interrupt()
        assert dev.end() == 130


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
        dev.press("s")
        # The end of a long line is what is typed.
        dev.press("long " * 20 + "to the end")
        dev.wait("to the end_")
        dev.press("\x1b")
        dev.press("r")
        dev.wait("  2  Python", dev.wait("  1  Node"))
        dev.wait("restart which?")
        dev.press("1")
        dev.wait("Node restarted.")
        cleared = "\x1b[2J\x1b[H"
        assert cleared not in dev.text
        dev.press("c")
        wait_until(lambda: cleared in dev.text, "the screen is cleared")
        # The line at the bottom is drawn again.
        wait_until(lambda: "? help" in dev.text.partition(cleared)[2], "the last line is there again")
        dev.press("q")
        assert dev.end() == 0


def test_a_key_opens_the_console(app, tmp_path):
    """The browser gets an address that lets it in."""
    programs = tmp_path / "programs"
    programs.mkdir()
    opened = tmp_path / "opened"
    browser = programs / "xdg-open"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(0o755)
    screen = {"DISPLAY": ":7", "PATH": f"{programs}:{os.environ['PATH']}"}
    with Dev(app.folder, variables=screen) as dev:
        dev.ready()
        dev.press("o")
        wait_until(opened.exists, "a browser is started")
        url = opened.read_text().strip()
        # The address works once, and gives a cookie for the page.
        browser = build_opener(HTTPCookieProcessor())
        with browser.open(url, timeout=PATIENCE) as page:
            assert "<title>" in page.read().decode()
        dev.wait(url, dev.wait("Opening"))
        dev.press("q")
        assert dev.end() == 0


def test_without_a_screen_the_consoles_address_is_shown(app):
    none = dict.fromkeys(["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"], "")
    with Dev(app.folder, columns=200, variables=none) as dev:
        dev.ready()
        dev.press("o")
        dev.wait("The console: http://localhost:")
        dev.press("q")
        assert dev.end() == 0


def test_typescript_is_bundled_with_every_save(app):
    code = app.folder / "typescript"
    code.mkdir()
    save = lambda version: (code / "version.ts").write_text(f"export const version: string = '{version}';\n")
    handler = "export const handler = async () => ({ statusCode: 200, body: version });\n"
    (code / "index.ts").write_text("import { version } from './version';\n" + handler)
    (code / "package.json").write_text('{"name": "typescript", "version": "1.0.0", "devDependencies": {"esbuild": "0.25.9"}}')
    install = ["npm", "install", "--no-audit", "--no-fund"]
    subprocess.run(install, cwd=code, check=True, capture_output=True, timeout=INSTALLING)
    save("one")
    build = "    Metadata:\n      BuildMethod: esbuild\n      BuildProperties: { EntryPoints: [index.ts], Sourcemap: true }\n"
    bundled = function("Typescript", "typescript", "index.handler", "nodejs22.x").replace("    Properties:", f"{build}    Properties:", 1)
    app.template.write_text(app.text + bundled + route("Typescript", "typescript", "TypescriptIntegration"))
    with Dev(app.folder) as dev, connect(dev.ready()) as socket:
        assert ask(socket, "typescript") == "one"
        # A module that the entry imports.
        save("two")
        at = dev.wait("Typescript updated in ")
        assert ask(socket, "typescript") == "two"
        (code / "version.ts").write_text("export const version: string = ;\n")
        at = dev.wait("typescript/version.ts:1:", at)
        dev.wait("the previous version keeps running", at)
        assert ask(socket, "typescript") == "two"
        (code / "version.ts").write_text("export const version = String(undefined!.nothing);\n")
        at = dev.wait("Typescript updated in ", at)
        socket.send('{"action": "typescript"}')
        # The source's line, not the bundle's.
        dev.wait("typescript/version.ts:1", at)


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


NODE_LINES = """\
exports.handler = async (event) => {
  const answer = { statusCode: 200, body: "one" };
  return answer;
};
"""

PYTHON_LINES = """\
def handler(event, context):
    answer = {"statusCode": 200, "body": "one"}
    return answer
"""


def test_a_breakpoint_stops_a_node_handler(app):
    """Over the Chrome DevTools Protocol, as Chrome and VS Code attach."""
    app.node.write_text(NODE_LINES)
    with Dev(app.folder, "--inspect", "Node", columns=None) as dev, connect(dev.ready()) as socket:
        dev.wait("127.0.0.1:9229")
        assert ask(socket, "node") == "one"
        with urlopen("http://127.0.0.1:9229/json/list", timeout=PATIENCE) as listed:
            address = json.load(listed)[0]["webSocketDebuggerUrl"]
        with connect(address) as debugger:
            numbers = itertools.count(1)

            def until(is_it):
                while not is_it(message := json.loads(debugger.recv(PATIENCE))):
                    pass
                return message

            def request(method, **parameters):
                number = next(numbers)
                debugger.send(json.dumps({"id": number, "method": method, "params": parameters}))
                return until(lambda message: message.get("id") == number)["result"]

            request("Runtime.enable")
            request("Debugger.enable")
            place = request("Debugger.setBreakpointByUrl", lineNumber=2, urlRegex="/index\\.js$")
            assert place["locations"], place
            socket.send('{"action": "node"}')
            paused = until(lambda message: message.get("method") == "Debugger.paused")["params"]
            frame = paused["callFrames"][0]
            assert frame["location"]["lineNumber"] == 2
            # Longer than a memory check or a freeze would take to disturb it.
            time.sleep(1)
            value = request("Debugger.evaluateOnCallFrame", callFrameId=frame["callFrameId"], expression="answer.body")
            assert value["result"]["value"] == "one"
            request("Debugger.resume")
            assert socket.recv(PATIENCE) == "one"
        dev.interrupt()
        assert dev.end() == 0


@pytest.fixture
def app_with_debugpy(tmp_path):
    """An application whose Python is that of these tests, which has debugpy."""
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    app = App(tmp_path / "app")
    app.python.write_text(PYTHON_LINES)
    app.template.write_text(app.text.replace("python3.12", "python%d.%d" % sys.version_info[:2]))
    wschat("local", "start", "--port", 0, cwd=app.folder, credentials=paths)
    yield app, paths
    wschat("local", "stop", cwd=app.folder)


def test_a_breakpoint_stops_a_python_handler(app_with_debugpy):
    """Over the Debug Adapter Protocol, as VS Code attaches."""
    app, paths = app_with_debugpy
    with Dev(app.folder, "--inspect", "Python", columns=None, variables=paths) as dev, connect(dev.ready()) as socket:
        dev.wait("127.0.0.1:5678")
        assert ask(socket, "python") == "one"
        with create_connection(("127.0.0.1", 5678), PATIENCE) as adapter, adapter.makefile("rwb") as stream:
            numbers = itertools.count(1)

            def request(command, **arguments):
                number = next(numbers)
                text = json.dumps({"seq": number, "type": "request", "command": command, "arguments": arguments}).encode()
                stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
                stream.flush()
                return number

            def until(is_it):
                while True:
                    length = 0
                    while line := stream.readline().strip():
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    message = json.loads(stream.read(length))
                    assert message.get("success", True), message
                    if is_it(message):
                        return message

            answered = lambda number: until(lambda message: message.get("request_seq") == number)
            happened = lambda event: until(lambda message: message.get("event") == event)
            answered(request("initialize", adapterID="tests", pathFormat="path", linesStartAt1=True))
            mapped = [{"localRoot": str(app.python.parent), "remoteRoot": "/var/task"}]
            request("attach", pathMappings=mapped, justMyCode=True)
            happened("initialized")
            source = {"path": str(app.python)}
            set_ = answered(request("setBreakpoints", source=source, breakpoints=[{"line": 3}]))
            assert set_["body"]["breakpoints"][0]["verified"], set_
            answered(request("configurationDone"))
            socket.send('{"action": "python"}')
            thread = happened("stopped")["body"]["threadId"]
            frame = answered(request("stackTrace", threadId=thread))["body"]["stackFrames"][0]
            assert (frame["line"], frame["source"]["path"]) == (3, str(app.python))
            value = answered(request("evaluate", expression="answer['body']", frameId=frame["id"]))
            assert value["body"]["result"] == "'one'"
            answered(request("continue", threadId=thread))
            assert socket.recv(PATIENCE) == "one"
        dev.interrupt()
        assert dev.end() == 0


@pytest.mark.parametrize("options", [("--aws",), ("--env", "staging")], ids=["aws", "environment"])
def test_on_aws_code_goes_first_and_logs_are_followed(app, tmp_path, options):
    """With the local cloud in the place of AWS, and with its times."""
    wschat("local", "stop", cwd=app.folder)
    aws = tmp_path / "aws"
    aws.mkdir()
    # What an older Node.js than the function's cannot parse may be right, so it would not be checked.
    app.template.write_text(app.text.replace("nodejs22.x", "nodejs20.x"))
    conditions = ROOT / "docs/aws-conditions.toml"
    wschat("local", "start", "--port", 0, "--open", "--conditions", conditions, cwd=aws)
    try:
        endpoint = re.search(r"http://localhost:\d+", wschat("local", "status", cwd=aws))[0]
        settings = f'[default]\nstack = "app"\nendpoint_url = "{endpoint}"\n[env.staging]\n'
        (app.folder / "wschat.toml").write_text(settings)
        with Dev(app.folder, *options, "--json", columns=None) as dev:
            at = dev.wait('"event":"watching"')
            stack = "app-staging" if "staging" in options else "app"
            dev.wait(f'"stack":"{stack}"', at)
            uri = re.search(r'wss?://[^"]+/live', dev.shown)[0]
            app.node.write_text('exports.handler = async () => { console.log("said"); return { statusCode: 200, body: "two" }; };\n')
            # Syntax is checked before anything is sent.
            at = dev.wait('"event":"updated","functions":["Node"],"steps":0')
            with connect(uri.replace("wss://", "ws://")) as socket:
                assert ask(socket, "node") == "two"
            dev.wait('"text":"said"', at)
            # What is saved during an update is timed from its own save.
            app.save_node("three")
            at = dev.wait('"event":"saved"', at)
            time.sleep(0.5)
            written = time.monotonic()
            app.save_node("four")
            at = dev.wait('"event":"updated","functions":["Node"],"steps":0', dev.wait('"event":"updated"', at))
            took = int(re.match(r',"milliseconds":(\d+)', dev.shown[at:])[1])
            assert took <= 1000 * (time.monotonic() - written)
            app.node.write_text("exports.handler = (;\n")
            dev.wait("syntax error in node/index.js:1", at)
            dev.interrupt()
            assert dev.end() == 0
    finally:
        wschat("local", "stop", cwd=aws)


def test_a_stopped_local_cloud_is_said(app):
    with Dev(app.folder) as dev:
        dev.ready()
        at = len(dev.shown)
        port = re.search(r"localhost:(\d+)/", dev.shown)[1]
        wschat("local", "stop", cwd=app.folder)
        dev.wait("The local cloud has stopped: nothing can be updated. Start it with:", at)
        app.save_node("two")
        dev.wait("Node could not be updated", at)
        wschat("local", "start", "--port", port, cwd=app.folder)
        at = dev.wait("The local cloud runs again: starting again.", at)
        at = dev.wait("for changes.", at)
        with connect(re.search(r"wss?://[^\s]+/live", dev.shown[at - 500 :])[0]) as socket:
            assert ask(socket, "node") == "two"
        wschat("local", "stop", cwd=app.folder)
        dev.wait("The local cloud has stopped", at)
        dev.press("q")
        assert dev.end() == 0
        assert "keeps running" not in dev.shown[at:]


def test_a_refused_template_is_said_again_and_a_failed_update_is_tried_again(app):
    app.template.write_text(app.text + TABLE)
    with Dev(app.folder, columns=None) as dev:
        dev.ready()
        at = len(dev.shown)
        app.template.write_text(app.text)
        at = dev.wait("data would be lost, so nothing was changed", at)
        dev.wait("the next save of the template plans again", at)
        app.save_node("two")
        dev.wait("The last save of the template is still not deployed", at)
        app.template.write_text(app.text + TABLE + "\n")
        app.save_node("three")
        dev.wait("Node updated in", at)


def test_a_socket_that_does_not_connect_holds_nothing_up(app):
    """What listens there accepts and says nothing."""
    with Dev(app.folder) as dev:
        dev.ready()
        pid = json.loads((app.folder / ".wschat/local/process.json").read_text())["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            dev.press("s")
            dev.wait("send>")
            dev.press("hi\r")
            dev.wait("> hi")
            dev.press("q")
            assert dev.end() == 0
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_narrowed_terminal_is_drawn_once(app):
    """In tmux, because what is shown then is for the terminal to say."""
    if not shutil.which("tmux"):
        pytest.skip("there is no tmux")
    tmux = lambda *words: subprocess.run(["tmux", "-L", f"wschat-{os.getpid()}", *words], capture_output=True, text=True, timeout=PATIENCE).stdout
    shown = lambda: tmux("capture-pane", "-p", "-t", "dev")
    tmux("new-session", "-d", "-s", "dev", "-x", "80", "-y", "24", "-c", str(app.folder), f"{WSCHAT} dev; sleep 60")
    try:
        wait_until(lambda: shown().count("deployed in") == 2, "it watches")
        tmux("resize-window", "-t", "dev", "-x", "50", "-y", "24")
        time.sleep(1)
        # What was done last, and the line at the bottom.
        assert shown().count("deployed in") == 2
        tmux("send-keys", "-t", "dev", "q")
        wait_until(lambda: "keeps running" in shown().replace("\n", ""), "it has ended")
    finally:
        tmux("kill-server")


def test_a_short_soak():
    from dev_soak import soak

    soak(saves=15)
