"""Checks of a page: axe violations, horizontal overflow, keyboard access, and errors of the browser."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import ConsoleMessage, Page, Request, Response

TABS_MAX = 400
OVERFLOW_PX_MAX = 1

# Installed before a page's own scripts run, and invisible to them.
MEASURE_SHIFTS = """
globalThis.__shift = 0; globalThis.__paint = 0;
new PerformanceObserver(list => {
  for (const e of list.getEntries()) if (!e.hadRecentInput) __shift += e.value;
})
  .observe({type: 'layout-shift', buffered: true});
new PerformanceObserver(list => { for (const e of list.getEntries()) __paint = e.startTime })
  .observe({type: 'largest-contentful-paint', buffered: true});
"""

_SIDEWAYS = """() => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room + 1) return [];
  const wide = [...document.body.querySelectorAll('*')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width > 0 && box.right > room + 1;
  });
  const name = e => `${e.tagName.toLowerCase()}${e.id ? '#' + e.id : ''}.${[...e.classList].join('.')} `
    + `ends at ${Math.round(e.getBoundingClientRect().right)} of ${room}`;
  if (!wide.length) return [`the page is ${document.documentElement.scrollWidth} wide`];
  return wide.slice(0, 8).map(name);
}"""

_CUT_OFF = """() => [...document.querySelectorAll('main *, header *, footer *')].filter(e => {
    const style = getComputedStyle(e);
    const clips = [style.overflowX, style.overflowY].some(overflow => ['hidden', 'clip'].includes(overflow));
    const seen = e.checkVisibility() && e.clientWidth > 2 && e.clientHeight > 2;
    const exceeds = e.scrollWidth > e.clientWidth + 2 || e.scrollHeight > e.clientHeight + 2;
    return clips && seen && e.innerText && exceeds;
  }).map(e => `${e.tagName.toLowerCase()}.${[...e.classList].join('.')}: ${e.innerText.slice(0, 60)}`)"""

_OUTSIDE_ITS_BOX = """() => [...document.querySelectorAll('svg.map .box')].flatMap(box => {
    const edge = box.querySelector('rect').getBoundingClientRect();
    return [...box.querySelectorAll('text')]
      .filter(text => edge.width && text.getBoundingClientRect().right > edge.right)
      .map(text => `${text.textContent} is wider than its box`);
  })"""

# Describes the focused element and its style, and the style of the previous element without focus. The focus
# indicator may also be drawn by a following or surrounding element.
_FOCUS = """() => {
  const drawn = s =>
    [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.backgroundColor, s.borderColor];
  const of = getComputedStyle, styles = e => [of(e), of(e, '::after'), of(e.parentElement ?? e)];
  const look = e => styles(e).flatMap(drawn).join('|');
  const before = globalThis.__focused, plain = before && before.isConnected ? look(before) : null;
  const now = document.activeElement;
  const box = now.getBoundingClientRect();
  const shown = now !== document.body && box.width > 0 && box.height > 0
    && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  globalThis.__focused = now === document.body ? null : now;
  const name = (now.getAttribute('aria-label') || now.labels?.[0]?.innerText || now.innerText || now.value
    || now.name || '').trim().replace(/\\s+/g, ' ').slice(0, 60);
  const again = now === before;
  return {tag: now.tagName.toLowerCase(), name, look: look(now), shown, again, plain_before: plain};
}"""


@dataclass(frozen=True)
class FocusedElement:
    """An element that the Tab key has focused."""

    tag: str
    name: str
    shown: bool
    """It is within the viewport."""
    marked: bool
    """It looks different with focus than without."""


@dataclass
class BrowserErrors:
    """All errors that the browser reported while a page was in use."""

    page: Page
    errors: list[str] = field(default_factory=list)
    foreign_hosts: set[str] = field(default_factory=set)
    """The hosts other than the shop's that received requests."""
    responses: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(f"error in a script: {error}"))
        self.page.on("request", self._request)
        self.page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        # Skips the browser's messages about error statuses: the tests assert the statuses that they expect.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.errors.append(f"{message.type} on {urlsplit(self.page.url).path}: {message.text[:400]}")

    def _request(self, request: Request) -> None:
        host = urlsplit(request.url).hostname
        if host not in (None, "localhost", "127.0.0.1"):
            self.foreign_hosts.add(host)

    def _response(self, response: Response) -> None:
        self.responses.append((response.status, urlsplit(response.url).path))

    def none(self) -> None:
        failed = [f"{status} for {path}" for status, path in self.responses if status >= 500]
        assert not (self.errors or self.foreign_hosts or failed), "\n".join(
            [*self.errors, *sorted(self.foreign_hosts), *failed]
        )


async def accessibility_violations(page: Page, *rules: str) -> list[str]:
    """The violations that axe-core finds: by all of its rules, including "best practice", or by some."""
    if not await page.evaluate("'axe' in globalThis"):
        await page.evaluate(Axe().axe_script)
    wanted = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = await page.evaluate("wanted => axe.run(wanted).then(found => found.violations)", wanted)
    return [
        f"{violation['id']} ({violation['impact']}): {violation['help']}: {node['target']} "
        f"{node['html'][:160]}"
        f" {' '.join(check['message'] for check in node['any'] + node['all'] + node['none'])[:300]}"
        for violation in found
        for node in violation["nodes"][:4]
    ]


async def horizontal_overflow(page: Page) -> list[str]:
    """The elements that cause horizontal scrolling."""
    found: list[str] = await page.evaluate(_SIDEWAYS)
    return found


async def clipped_texts(page: Page) -> list[str]:
    """Texts that do not fit into the elements that clip them."""
    found: list[str] = await page.evaluate(_CUT_OFF)
    return found


async def labels_outside_boxes(page: Page) -> list[str]:
    """Texts of the service map that are wider than the box of their service."""
    found: list[str] = await page.evaluate(_OUTSIDE_ITS_BOX)
    return found


async def tab_through(page: Page) -> list[FocusedElement]:
    """All elements that the Tab key focuses, until it leaves the page or reaches the first element again."""
    await page.evaluate("() => { document.activeElement?.blur(); globalThis.__focused = null }")
    focused: list[dict[str, Any]] = []
    marked: list[bool] = []
    for _ in range(TABS_MAX):
        await page.keyboard.press("Tab")
        focus = await page.evaluate(_FOCUS)
        if focus["again"]:
            continue  # another field of the same element: day, month and year of a date
        if focused:
            marked.append(focus["plain_before"] != focused[-1]["look"])
        if focus["tag"] in ("body", "html"):
            return [_element(focus, is_marked) for focus, is_marked in zip(focused, marked, strict=True)]
        focused.append(focus)
    raise AssertionError(f"Tab was pressed {TABS_MAX} times and has not left the page: {focused[-3:]}")


def _element(focus: dict[str, Any], marked: bool) -> FocusedElement:
    return FocusedElement(focus["tag"], focus["name"], focus["shown"], marked)


async def tab_to(page: Page, name: str) -> None:
    """Presses Tab until an element with this name has the focus."""
    await page.wait_for_load_state()
    for _ in range(TABS_MAX):
        await page.keyboard.press("Tab")
        focus = await page.evaluate(_FOCUS)
        if re.search(name, focus["name"], re.IGNORECASE):
            return
    raise AssertionError(f"the keyboard does not reach {name!r} on {page.url}")
