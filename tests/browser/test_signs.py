"""The icons of the seven step states are distinguishable without colours and in forced-colours mode."""

import base64
from itertools import combinations
from typing import Any, Literal

import pytest
from playwright.async_api import Page

from gateway.orders.step_state import StepState
from tests.browser.conftest import Window

pytestmark = [
    pytest.mark.real,
    pytest.mark.system,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(600),
]

DIFFERENT_MIN = 0.04
"""The share of pixels by which an icon must clearly differ in lightness from any other.

A tick mark is near it.
"""

# Runs in a page of its own. Returns the share of pixels that differ by more than a quarter of the range from
# black to white, and the number of coloured pixels in the first screenshot.
_COMPARE = """async ([one, other]) => {
  const pixels = async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const canvas = new OffscreenCanvas(40, 40), pen = canvas.getContext('2d');
    pen.drawImage(image, 0, 0, 40, 40);
    return pen.getImageData(0, 0, 40, 40).data;
  };
  const [a, b] = [await pixels(one), await pixels(other)];
  let different = 0, coloured = 0;
  for (let i = 0; i < a.length; i += 4) {
    const light = (data) => 0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2];
    different += Math.abs(light(a) - light(b)) > 64;
    coloured += Math.max(a[i], a[i + 1], a[i + 2]) - Math.min(a[i], a[i + 1], a[i + 2]) > 8;
  }
  return {different: different / (a.length / 4), coloured};
}"""

Scheme = Literal["light", "dark"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("seen", ["without colours", "in one's own colours"])
async def test_all_seven_states_are_distinguishable(window: Window, scheme: Scheme, seen: str) -> None:
    page = await window(color_scheme=scheme, reduced_motion="reduce")
    if seen == "without colours":
        session = await page.context.new_cdp_session(page)
        await session.send("Emulation.setEmulatedVisionDeficiency", {"type": "achromatopsia"})
    else:
        await page.emulate_media(forced_colors="active")
    await page.goto("/about")
    signs = await taken(page)
    assert len(signs) == len(StepState)
    desktop = await page.context.new_page()
    alike = []
    for (one, its), (other, that) in combinations(signs.items(), 2):
        found = await desktop.evaluate(_COMPARE, [its, that])
        if found["different"] < DIFFERENT_MIN:
            alike.append(f"{one!r} looks like {other!r}: only {found['different']:.1%} of them differ")
        assert seen != "without colours" or not found["coloured"], f"{one!r} still has colours"
    assert not alike, "\n".join(alike)


async def taken(page: Page) -> dict[str, str]:
    """A screenshot of each icon, by the label next to it."""
    signs: dict[str, Any] = {}
    for row in await page.get_by_role("list", name="The states of a step").get_by_role("listitem").all():
        label = (await row.locator(".state").inner_text()).strip()
        signs[label] = base64.b64encode(await row.locator(".shape").screenshot()).decode()
    return signs
