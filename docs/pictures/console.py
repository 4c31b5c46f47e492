#!/usr/bin/env python3
"""Takes the pictures of the console, docs/pictures/console-*.png, of a real run of examples/node-chat.

Usage: docs/pictures/console.py WSCHAT [FOLDER]
Needs Python 3.11, selenium and pillow (PyPI), Chromium and its driver, node and npm. Runs on a local cloud of its own that it stops again.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]


def console(data):
    record = json.loads((data / "process.json").read_text())
    address = f"http://localhost:{record['port']}/_wschat/"
    asked = urllib.request.Request(address + "ticket", method="POST", headers={"x-wschat-token": record["token"]})
    ticket = json.loads(urllib.request.urlopen(asked).read())["ticket"]
    return f"{address}console?ticket={ticket}"


def until(condition):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        if time.monotonic() > deadline:
            sys.exit("the page does not show what it should")
        time.sleep(0.1)
    return found


class Browser:
    def __init__(self):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
        for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-lcd-text", "--disable-dev-shm-usage", "--no-proxy-server"):
            options.add_argument(argument)
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))

    def look(self, width, height, scheme):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def click(self, css):
        self.driver.execute_script("document.querySelector(arguments[0]).click()", css)

    def has(self, css, words):
        return self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].some((one) => one.textContent.includes(arguments[1]))", css, words)

    def connect(self, pane):
        until(lambda: self.find(f"#pane-{pane} .top button").is_enabled())
        self.click(f"#pane-{pane} .top button")
        until(lambda: self.has("#timeline-rows .opened", pane))

    def say(self, pane, text):
        self.find(f"#pane-{pane} .compose textarea").send_keys(text, Keys.ENTER)

    def open_row(self, *words):
        self.driver.execute_script(
            "const row = [...document.querySelectorAll('.row')].findLast((row) => row.offsetParent && arguments[0].every((word) => row.textContent.includes(word)));"
            "row.querySelector('.line').click()", words)

    def take(self, folder, name):
        self.driver.execute_script("document.activeElement.blur(); document.getElementById('toast').hidden = true")
        time.sleep(1.2)
        path = folder / f"console-{name}.png"
        self.driver.save_screenshot(str(path))
        # A third of the size, and the eye sees no difference.
        Image.open(path).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


def main():
    wschat, folder = os.path.abspath(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else HERE)
    with tempfile.TemporaryDirectory() as temporary:
        project, data = Path(temporary) / "chat", Path(temporary) / "local"
        shutil.copytree(REPOSITORY / "examples/node-chat", project)
        handler = project / "send-message/index.mjs"
        text = handler.read_text()
        changed = text.replace("const { message } = JSON.parse(event.body);", "const message = JSON.parse(event.body).message.trim();\n  console.log(`to everyone else: ${message}`);")
        assert changed != text
        handler.write_text(changed)
        browser = Browser()
        try:
            subprocess.run([wschat, "local", "start", "--data", data, "--port", "0"], check=True)
            subprocess.run([wschat, "up", "--local", "--data", data, "--stack", "chat", "--yes"], cwd=project, check=True, stdout=subprocess.DEVNULL)
            picture(browser, console(data), folder)
        finally:
            browser.driver.quit()
            subprocess.run([wschat, "local", "stop", "--data", data], check=False)


def picture(browser, url, folder):
    browser.look(1280, 800, "light")
    browser.driver.get(url)
    browser.connect("A")
    browser.connect("B")
    # The first run of a function logs what its SDK thinks of this machine's node; the ones in the pictures are warm.
    browser.say("A", '{"action":"sendmessage","message":"is anybody there?"}')
    until(lambda: browser.has("#pane-B .bubble", "is anybody there?"))
    browser.say("B", '{"action":"sendmessage","message":"I am."}')
    until(lambda: browser.has("#pane-A .bubble:not(.mine)", "I am."))
    browser.say("A", '{"action":"sendmessage","message":"hello, everyone!"}')
    until(lambda: browser.has("#pane-B .bubble", "hello, everyone!"))
    browser.say("B", '{"action":"sendmessage"}')
    until(lambda: browser.has("#pane-B .bubble", "Internal server error"))
    browser.say("A", "hi")
    until(lambda: browser.has("#pane-A .bubble:not(.mine)", "Use the sendmessage route"))
    browser.open_row("hello, everyone!", "SendMessage", "✓")
    browser.take(folder, "timeline")

    browser.look(1280, 800, "dark")
    browser.open_row("hello, everyone!", "SendMessage", "✓")
    browser.open_row("sendmessage", "✕ 502")
    browser.take(folder, "why")
    browser.look(360, 740, "dark")
    browser.take(folder, "narrow")
    browser.open_row("sendmessage", "✕ 502")

    browser.look(800, 600, "light")
    browser.click("#tab-tables")
    until(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#row-grid tbody tr"))
    browser.click("#row-grid tbody tr")
    browser.take(folder, "tables")


main()
