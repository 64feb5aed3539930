"""Selects the drawing of an article, and colours it and the scene around it.

The drawings are the files in `motifs`: plain shapes whose colours are CSS variables. An illustration contains
the colours themselves, because the gateway's Content-Security-Policy refuses inline styles. It has no script,
no style and no link. Of the text that staff entered it contains only the title, escaped.
"""

import re
import unicodedata
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

from product_svc.illustrations.palette import colours, variables

MOTIFS = Path(__file__).with_name("motifs")
SCENE = Path(__file__).with_name("scene.svg")
FALLBACK = "parcel"

# The name of the file by the noun in the title. The last known noun counts: a tea towel is a towel.
MOTIF_BY_NOUN = {
    "kettle": "kettle",
    "teapot": "teapot",
    "cup": "cup",
    "mug": "mug",
    "bowl": "bowl",
    "plate": "bowl",
    "board": "board",
    "knife": "board",
    "spoon": "spoons",
    "samovar": "samovar",
    "tea": "tin",
    "tin": "tin",
    "coffee": "bag",
    "bean": "bag",
    "sugar": "bag",
    "bag": "bag",
    "honey": "honey",
    "jam": "jam",
    "jar": "jam",
    "oil": "bottle",
    "bottle": "bottle",
    "shampoo": "bottle",
    "soap": "soap",
    "brush": "brush",
    "lamp": "lamp",
    "light": "lamp",
    "clock": "clock",
    "chair": "chair",
    "stool": "chair",
    "vase": "vase",
    "candle": "candle",
    "lantern": "lantern",
    "basket": "basket",
    "mirror": "mirror",
    "blanket": "blanket",
    "throw": "blanket",
    "cushion": "cushion",
    "pillow": "cushion",
    "towel": "towel",
    "apron": "apron",
    "plant": "plant",
    "fern": "plant",
    "pot": "pot",
    "can": "watering-can",
    "trowel": "trowel",
    "seed": "seeds",
    "house": "bird-house",
    "notebook": "notebook",
    "diary": "notebook",
    "pencil": "pencils",
    "book": "books",
    "envelope": "envelope",
    "paper": "envelope",
    "ink": "ink",
    "pen": "ink",
}
MOTIF_BY_CATEGORY = {
    "kitchen": "bowl",
    "tea": "tin",
    "pantry": "honey",
    "living": "vase",
    "textiles": "blanket",
    "garden": "plant",
    "desk": "notebook",
    "bath": "soap",
}
_WORD = re.compile(r"[a-z]+")
_DRAWING = re.compile(r"<svg [^>]*>(.*)</svg>\s*", re.DOTALL)
_BETWEEN_TAGS = re.compile(r"(?<=>)\s+(?=<)|^\s+|\s+$")
_VARIABLE = re.compile(r"var\(--([a-z-]+)\)")
# Characters that XML does not allow, and those that change the writing direction.
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")


def render_illustration(sku: str, title: str, category: str) -> str:
    """Deterministic: the same article always gets the same drawing."""
    words = _words(title)
    values = variables(*colours(sku, [*words, *_words(sku)]))
    shapes = _shapes(SCENE) + _shapes(MOTIFS / f"{motif(title, category)}.svg")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240" width="240" height="240" role="img">'
        f"<title>{escape(_UNFIT.sub('', title))}</title>"
        f"{_VARIABLE.sub(lambda found: values[found[1]], shapes)}</svg>\n"
    )


@cache
def _shapes(file: Path) -> str:
    """The shapes of a drawing, without its root element, whose style only serves previews of the file."""
    text = file.read_text(encoding="utf-8")
    if (found := _DRAWING.fullmatch(text)) is None:
        raise ValueError(f"{file} is not one <svg> element")
    return _BETWEEN_TAGS.sub("", found[1])


def motif(title: str, category: str) -> str:
    """The name of the drawing.

    It follows from the text before the first comma: what comes after it describes the article's properties.
    """
    for word in reversed(_words(title.partition(",")[0])):
        if (found := MOTIF_BY_NOUN.get(word) or MOTIF_BY_NOUN.get(word.removesuffix("s"))) is not None:
            return found
    return MOTIF_BY_CATEGORY.get(category, FALLBACK)


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
