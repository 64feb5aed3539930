"""Drawings of plants and garden tools."""

from product_svc.illustrations.palette import (
    CLAY,
    CLAY_SHADE,
    CREAM,
    CREAM_SHADE,
    FLAME,
    GREEN,
    GREEN_LIGHT,
    GREEN_SHADE,
    INK,
    PAINTS,
    WOOD,
    WOOD_LIGHT,
    WOOD_SHADE,
    Paint,
)
from product_svc.illustrations.shapes import disc, leaf, line, path, rect, shadow, turned


def _flower_pot(main: str, shade: str) -> list[str]:
    return [
        path("M84 146 L156 146 L148 190 Q146 198 138 198 L102 198 Q94 198 92 190Z", main),
        path("M136 146 L156 146 L148 190 Q146 198 138 198 L126 198 C134 180 136 164 136 146Z", shade, 0.6),
        rect(78, 134, 84, 18, main, 6),
        rect(78, 146, 84, 6, shade, 3, 0.7),
    ]


def plant(paint: Paint) -> list[str]:
    back = [leaf(120, 140, 78, turn, GREEN_SHADE, GREEN) for turn in (-70, -28, 28, 70)]
    green = paint is PAINTS["green"]  # green leaves would be invisible in front of a green pot
    planter = _flower_pot(CREAM, CREAM_SHADE) if green else _flower_pot(paint.main, paint.shade)
    front = [leaf(120, 140, 88, turn, GREEN, GREEN_SHADE) for turn in (-48, 48)]
    return [
        shadow(48),
        *back,
        leaf(120, 140, 100, 4, GREEN_LIGHT, GREEN_SHADE),
        *front,
        *planter,
    ]


def pot(paint: Paint) -> list[str]:
    return [
        shadow(48),
        line("M120 138 C120 120 118 108 120 92", GREEN_SHADE, 4),
        leaf(120, 104, 44, -58, GREEN, GREEN_SHADE),
        leaf(120, 104, 44, 58, GREEN_LIGHT, GREEN_SHADE),
        leaf(120, 94, 34, 0, GREEN, GREEN_SHADE),
        *_flower_pot(CLAY, CLAY_SHADE),
    ]


def watering_can(paint: Paint) -> list[str]:
    return [
        shadow(66),
        line("M84 116 C88 56 156 62 152 116", paint.shade, 8),
        line("M72 172 C36 166 38 120 74 120", paint.shade, 8),
        path("M150 152 L196 96 L206 104 L158 184Z", paint.main),
        turned(38, 202, 98, [rect(186, 86, 32, 12, paint.shade, 5)]),
        *(line(f"M{212 + 4 * n} {114 + 3 * n} q3 8 1 14", "#8fb7cf", 3) for n in (-3, 0, 2)),
        path("M70 112 L158 112 L164 188 Q164 198 154 198 L74 198 Q64 198 64 188Z", paint.main),
        path(
            "M136 112 L158 112 L164 188 Q164 198 154 198 L132 198 C142 170 140 140 136 112Z", paint.shade, 0.5
        ),
        rect(66, 106, 96, 12, paint.light, 6),
        line("M80 136 v40", paint.light, 6, 0.9),
    ]


def trowel(paint: Paint) -> list[str]:
    tool = [
        rect(109, 28, 22, 62, paint.main, 10),
        rect(122, 28, 9, 62, paint.shade, 5, 0.6),
        rect(109, 44, 22, 5, CREAM),
        rect(115, 86, 10, 30, "#8b939b", 3),
        path("M96 112 L144 112 C150 146 136 178 120 196 C104 178 90 146 96 112Z", "#c4ccd1"),
        path("M124 112 L144 112 C150 146 136 178 120 196 C128 170 130 140 124 112Z", "#8b939b", 0.7),
    ]
    return [
        turned(24, 120, 120, tool),
        path("M62 198 C70 176 96 172 112 184 C124 178 146 184 150 198Z", "#6b4a35"),
    ]


def seeds(paint: Paint) -> list[str]:
    petals = [
        turned(
            60 * n, 120, 128, [path("M120 128 C104 112 108 96 120 94 C132 96 136 112 120 128Z", paint.main)]
        )
        for n in range(6)
    ]
    packet = [
        rect(72, 60, 96, 136, CREAM, 6),
        rect(72, 60, 96, 22, paint.main, 6),
        line("M84 71 h72", paint.light, 3),
        line("M120 140 v34", GREEN_SHADE, 4),
        leaf(120, 172, 30, -52, GREEN, GREEN_SHADE),
        leaf(120, 172, 30, 52, GREEN_LIGHT, GREEN_SHADE),
        *petals,
        disc(120, 128, 9, FLAME),
        line("M92 184 h56", INK, 2.5, 0.45),
    ]
    kernels = ((56, 190), (66, 196), (178, 194), (188, 188), (192, 198))
    return [shadow(60), turned(-4, 120, 190, packet), *(disc(x, y, 3.5, WOOD_SHADE) for x, y in kernels)]


def bird_house(paint: Paint) -> list[str]:
    return [
        shadow(30),
        rect(113, 168, 14, 30, WOOD_SHADE),
        rect(78, 92, 84, 80, WOOD, 4),
        *(line(f"M{99 + 21 * n} 96 v72", WOOD_SHADE, 2, 0.5) for n in range(3)),
        path("M120 44 L180 96 Q182 104 172 104 L68 104 Q58 104 60 96Z", paint.main),
        path("M120 44 L180 96 Q182 104 172 104 L136 104Z", paint.shade, 0.55),
        disc(120, 126, 15, INK),
        rect(112, 150, 16, 6, WOOD_LIGHT, 3),
        path("M146 86 c-2 -16 20 -20 24 -6 l10 2 l-9 4 c-3 10 -20 12 -25 0Z", "#4f7ea8"),
        path("M152 90 c4 6 12 4 14 -2Z", "#e2a04a"),
        disc(165, 80, 1.8, INK),
    ]
