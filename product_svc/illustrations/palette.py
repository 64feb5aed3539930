"""The colours of the drawings: a few that match each other, on light and on dark pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Paint:
    """The colours of an article."""

    main: str
    shade: str
    light: str


@dataclass(frozen=True, slots=True)
class Room:
    """The colours of the background."""

    wall: str
    glow: str
    table: str


PAINTS = {
    "blue": Paint("#46729f", "#305479", "#86acd0"),
    "teal": Paint("#3f8a88", "#2b6564", "#84bfbb"),
    "green": Paint("#66956d", "#48704f", "#a5c8a6"),
    "mustard": Paint("#d9a441", "#ad7c29", "#f2cf86"),
    "terracotta": Paint("#c56b4b", "#974c33", "#e59f83"),
    "red": Paint("#b94a48", "#8a3237", "#de8583"),
    "rose": Paint("#d78f95", "#ad666e", "#f0c2c4"),
    "plum": Paint("#7a6798", "#5a4a75", "#ab9bc8"),
    "charcoal": Paint("#454854", "#2d2f39", "#777c8a"),
    "white": Paint("#f6f1e6", "#d5cab6", "#ffffff"),
    "grey": Paint("#8b939b", "#686f77", "#bcc3c8"),
    "wood": Paint("#b98b5e", "#8e6842", "#dbb78e"),
    "brass": Paint("#cf9f45", "#a1762b", "#efd089"),
}
CREAM = Paint("#fbf6ea", "#ddd3bf", "#ffffff")
COLOUR_WORDS = {
    "black": "charcoal",
    "pink": "rose",
    "yellow": "mustard",
    "ochre": "mustard",
    "orange": "terracotta",
    "clay": "terracotta",
    "copper": "terracotta",
    "purple": "plum",
    "lavender": "plum",
    "turquoise": "teal",
    "cream": "white",
    "natural": "white",
    "silver": "grey",
    "steel": "grey",
    "gold": "brass",
    "golden": "brass",
    "oak": "wood",
    "beech": "wood",
    "walnut": "wood",
    "wooden": "wood",
    "olive": "green",
} | {name: name for name in PAINTS}

SAGE = Room("#c7d4c1", "#dde6d8", "#9fb199")
SAND = Room("#e8d7bd", "#f4e9d7", "#c9ae87")
SKY = Room("#bfd2de", "#d8e5ec", "#94aebf")
BLUSH = Room("#ecd0c6", "#f6e3dc", "#cfa496")
LILAC = Room("#d3cce2", "#e5e0ef", "#ada2c5")
STRAW = Room("#eedfae", "#f7eed0", "#cdb878")
# The rooms in which a paint has enough contrast.
_ROOMS = {
    "blue": (SAND, BLUSH, STRAW),
    "teal": (SAND, BLUSH, STRAW),
    "green": (BLUSH, LILAC, STRAW),
    "mustard": (SKY, LILAC, SAGE),
    "terracotta": (SKY, SAGE, SAND),
    "red": (SKY, SAND, SAGE),
    "rose": (SAGE, SKY, STRAW),
    "plum": (SAND, STRAW, SAGE),
    "charcoal": (BLUSH, STRAW, SKY),
    "white": (SKY, SAGE, BLUSH, LILAC),
    "grey": (BLUSH, STRAW, LILAC),
    "wood": (SKY, SAGE, LILAC),
    "brass": (SKY, LILAC, SAGE),
}
_BY_LOT = ("blue", "teal", "green", "mustard", "terracotta", "red", "rose", "plum", "charcoal", "white")


def colours(sku: str, words: list[str]) -> tuple[Paint, Room]:
    """The paint that the article's words name, else one derived from the SKU; the room is always derived from
    the SKU.
    """
    lot = int.from_bytes(sha256(sku.encode()).digest()[:8], "big")
    named = [COLOUR_WORDS[word] for word in words if word in COLOUR_WORDS]
    name = named[0] if named else _BY_LOT[lot % len(_BY_LOT)]
    rooms = _ROOMS[name]
    return PAINTS[name], rooms[lot // len(_BY_LOT) % len(rooms)]


def variables(paint: Paint, room: Room) -> Mapping[str, str]:
    """The values of the CSS variables that the drawings use, by their names without the leading dashes."""
    pot = CREAM if paint is PAINTS["green"] else paint  # green leaves are invisible in front of a green pot
    return {
        "main": paint.main,
        "shade": paint.shade,
        "light": paint.light,
        "pot": pot.main,
        "pot-shade": pot.shade,
        "wall": room.wall,
        "glow": room.glow,
        "table": room.table,
    }
