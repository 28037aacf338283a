#!/usr/bin/env python3
"""Opens a page of `flexpaxos report` in headless Chromium and uses it as a reader does.

    scripts/check_page.py report.html [--screenshots DIR]
    scripts/check_page.py --install      in CI, as root: installs Chromium if it is missing

It fails if the page asks the network for anything, writes an error to the console, is wider than the window, or
does not do what it should on a hover, a click, a key, or when it is printed. Needs Chromium and Python alone.
"""

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--remote-debugging-pipe",
    "--hide-scrollbars", "--force-color-profile=srgb",
]


class Browser:
    """Chromium, spoken to over two pipes in the DevTools protocol: JSON texts that end with a zero byte."""

    def __init__(self, program, profile):
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()

        def wire():
            # The browser reads commands on 3 and writes answers on 4.
            os.dup2(to_browser, 10)
            os.dup2(from_browser, 11)
            os.dup2(10, 3)
            os.dup2(11, 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}"], preexec_fn=wire, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.number, self.buffer, self.events, self.session = 0, b"", [], None

    def receive(self):
        while b"\0" not in self.buffer:
            block = os.read(self.read, 1 << 16)
            if not block:
                sys.exit("check_page: the browser ended")
            self.buffer += block
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"check_page: {method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method):
        while True:
            for event in self.events:
                if event.get("method") == method:
                    return event
            self.events.append(self.receive())

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            sys.exit(f"check_page: {expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, nargs="?")
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--screenshots", type=Path)
    arguments = parser.parse_args()
    if arguments.install:
        install()
        return
    if arguments.page is None or not arguments.page.is_file():
        sys.exit(f"check_page: {arguments.page} is no file: name a page of `flexpaxos report`")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        if os.environ.get("CI"):
            sys.exit("check_page: chromium is missing, and CI must not go on without it")
        print("check_page: skipped, chromium is not installed")
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            check(browser, arguments.page.resolve(), arguments.screenshots)
        finally:
            browser.process.kill()
            browser.process.wait()
    print(f"check_page: {arguments.page} is as it should be")


def install():
    """Installs Chromium where CI needs it; a laptop skips the check without it."""
    if shutil.which("chromium") or not os.environ.get("CI") or os.geteuid() != 0:
        return
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600"]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "install", "-y", "--no-install-recommends", "chromium"], check=True)


def check(browser, page, screenshots):
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ["Page", "Runtime", "Log", "Network"]:
        browser.call(f"{domain}.enable")
    for scheme in ["light", "dark"]:
        for width, height in [(390, 844), (1440, 900)]:
            visit(browser, page, (width, height), scheme)
            silence(browser, page)
            layout(browser, width)
            if screenshots:
                screenshots.mkdir(parents=True, exist_ok=True)
                screenshot(browser, screenshots / f"{page.stem}-{width}-{scheme}.png")
    use(browser)
    printed = base64.b64decode(browser.call("Page.printToPDF", printBackground=True)["data"])
    need(printed.startswith(b"%PDF-") and len(printed) > 10_000, "the page prints to PDF")
    if screenshots:
        (screenshots / f"{page.stem}.pdf").write_bytes(printed)
    silence(browser, page)


def visit(browser, page, size, scheme):
    browser.call("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1,
                 mobile=size[0] < 500)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.events = [it for it in browser.events if it.get("method") != "Page.loadEventFired"]
    browser.call("Page.navigate", url=page.as_uri())
    browser.wait_for("Page.loadEventFired")
    paper = browser.value("getComputedStyle(document.body).backgroundColor")
    need((paper == "rgb(255, 255, 255)") == (scheme == "light"), f"the {scheme} theme has its colours: {paper}")


def layout(browser, width):
    wide = browser.value("document.documentElement.scrollWidth")
    need(wide <= width, f"the page fits into {width} pixels, and is {wide} wide")
    need(browser.value("document.querySelectorAll('figure svg[role=img]').length") > 0, "the page has figures")
    small = browser.value(
        "[...document.querySelectorAll('figure svg[role=img]')].filter((it) => it.getBoundingClientRect().width < 250).length")
    need(small == 0, f"{small} figures are too small to read")
    cut = browser.value("""[...document.querySelectorAll('figure svg[role=img]')].flatMap((svg) => {
        const edge = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].filter((it) => {
            const box = it.getBoundingClientRect();
            return box.left < edge.left - 3 || box.right > edge.right + 3;
        }).map((it) => it.textContent);
    })""")
    need(not cut, f"the texts of figures are whole, and these are cut: {cut[:5]}")


def use(browser):
    browser.value("for (const it of document.querySelectorAll('details')) it.open = true")
    # A hover over a point says what it is.
    spot = browser.value("""(() => {
        const svg = [...document.querySelectorAll('figure svg[role=img]')].find((it) => it.querySelector('.mark[data-points]'));
        svg.scrollIntoView({block: 'center'});
        const [x, y, text] = JSON.parse(svg.querySelector('.mark[data-points]').dataset.points).find((it) => it[2]);
        const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
        return [box.left + x / view.width * box.width, box.top + y / view.height * box.height, text];
    })()""")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=spot[0], y=spot[1])
    tip = browser.value("(({style, textContent}) => [style.visibility, textContent])(document.getElementById('tip'))")
    need(tip[0] == "visible" and spot[2] in tip[1], f"a hover says what a point is, {spot[2]!r}, and it said {tip}")
    # A click on a variant marks it in every figure, and Escape ends that.
    variants = browser.value("[...document.querySelectorAll('.legend button')].map((it) => it.dataset.variant)")
    need(len(variants) > 0, "the legend names the variants")
    click(browser, ".legend button")
    dimmed = browser.value("document.querySelectorAll('.mark.dim').length")
    others = browser.value(f"""[...document.querySelectorAll('.mark')].filter((it) =>
        {json.dumps(variants[1:])}.includes(it.dataset.series)).length""")
    need(dimmed == others, f"marking a variant dims the others: {dimmed} of {others}")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    need(browser.value("document.querySelectorAll('.mark.dim').length") == 0, "Escape unmarks")
    # A box switches a variant off and on.
    click(browser, ".legend input")
    hidden = browser.value("document.querySelectorAll('.mark.off').length")
    own = browser.value(f"""[...document.querySelectorAll('.mark')].filter((it) =>
        it.dataset.series === {json.dumps(variants[0])}).length""")
    need(hidden == own and own > 0, f"a box hides its variant: {hidden} of {own} marks")
    click(browser, ".legend input")
    need(browser.value("document.querySelectorAll('.mark.off').length") == 0, "the box shows it again")
    # The arrow keys step through points.
    browser.value("document.querySelector('figure svg[role=img]').focus()")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
    need(browser.value("document.getElementById('tip').style.visibility") == "visible", "an arrow key shows a point")
    # A click on a header sorts, and a filter hides.
    order = """[...document.querySelectorAll('#table-summary tbody tr')].map((it) => it.textContent).join('|')"""
    before = browser.value(order)
    # The least and the greatest first: one of the two differs from the order of the file.
    seen = []
    for _ in range(2):
        click(browser, "#table-summary thead th:last-child button")
        seen.append(browser.value(order))
    rows = browser.value("document.querySelectorAll('#table-summary tbody tr').length")
    need(rows < 2 or any(it != before for it in seen), "a click on a header sorts")
    if browser.value("document.querySelector('#table-summary input') !== null"):
        browser.value("""(() => { const it = document.querySelector('#table-summary input');
            it.value = 'no such row'; it.dispatchEvent(new Event('input')); })()""")
        left = browser.value("document.querySelectorAll('#table-summary tbody tr:not([hidden])').length")
        need(left == 0, f"a filter hides what it does not match, and {left} rows are left")


def click(browser, selector):
    at = browser.value(f"""(() => {{ const it = document.querySelector({json.dumps(selector)});
        it.scrollIntoView({{block: 'center'}});
        const box = it.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; }})()""")
    for kind in ["mousePressed", "mouseReleased"]:
        browser.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)


def screenshot(browser, path):
    size = browser.call("Page.getLayoutMetrics")["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
    shot = browser.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
    path.write_bytes(base64.b64decode(shot["data"]))


def silence(browser, page):
    """No request but for the page itself, and nothing in the console."""
    for event in browser.events:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            need(url == page.as_uri(), f"the page asks for nothing, and asked for {url[:200]}")
        need(method != "Runtime.exceptionThrown", f"no script fails: {parameters}")
        need(method != "Runtime.consoleAPICalled", f"the console is empty: {parameters}")
        if method == "Log.entryAdded":
            sys.exit(f"check_page: the console is empty, and it says: {parameters['entry']['text']}")


def need(is_met, what):
    if not is_met:
        sys.exit(f"check_page: not met: {what}")


if __name__ == "__main__":
    main()
