"""Drawings of tins, bags, jars and bottles."""

from product_svc.illustrations.palette import (
    BRASS,
    BRASS_LIGHT,
    CREAM,
    GLASS,
    GREEN,
    GREEN_LIGHT,
    GREEN_SHADE,
    INK,
    WOOD,
    WOOD_SHADE,
    Paint,
)
from product_svc.illustrations.shapes import disc, leaf, line, oval, path, rect, shadow, turned


def tin(paint: Paint) -> list[str]:
    return [
        shadow(54),
        rect(78, 88, 84, 110, paint.main, 8),
        rect(140, 88, 22, 110, paint.shade, 8, 0.6),
        rect(74, 66, 92, 30, paint.shade, 8),
        rect(74, 88, 92, 6, INK, 3, 0.25),
        rect(84, 72, 8, 18, paint.light, 4, 0.8),
        rect(88, 112, 64, 66, CREAM, 6),
        leaf(120, 164, 38, 0, GREEN, GREEN_SHADE),
        leaf(120, 164, 30, -48, GREEN_LIGHT, GREEN_SHADE),
        leaf(120, 164, 30, 48, GREEN_SHADE, GREEN),
        line("M106 170 h28", INK, 2.5, 0.5),
    ]


def bag(paint: Paint) -> list[str]:
    bean = [oval(120, 146, 13, 18, "#6b4226"), line("M120 130 q-8 16 0 32", CREAM, 2.5)]
    return [
        shadow(56),
        path("M84 90 L156 90 L164 190 Q164 198 156 198 L84 198 Q76 198 76 190Z", paint.main),
        path(
            "M140 90 L156 90 L164 190 Q164 198 156 198 L138 198 C146 160 144 120 140 90Z", paint.shade, 0.55
        ),
        rect(82, 66, 76, 28, paint.shade, 5),
        line("M86 80 h68", paint.light, 3, 0.7),
        rect(112, 60, 16, 26, BRASS, 3),
        disc(120, 146, 31, CREAM),
        turned(28, 120, 146, bean),
    ]


def honey(paint: Paint) -> list[str]:
    return [*_jar(paint, "#e0a02e", "#b87819"), path("M120 138 l12 7 v13 l-12 7 l-12 -7 v-13Z", BRASS_LIGHT)]


def jam(paint: Paint) -> list[str]:
    fruit = [disc(113, 154, 9, "#9c4257"), disc(127, 154, 9, "#7d3146")]
    return [*_jar(paint, "#8f3a50", "#6b2739"), *fruit, leaf(121, 146, 14, 40, GREEN, GREEN_SHADE)]


def _jar(paint: Paint, inside: str, inside_shade: str) -> list[str]:
    return [
        shadow(52),
        rect(76, 98, 88, 100, GLASS, 20),
        rect(81, 114, 78, 80, inside, 16),
        rect(138, 114, 21, 80, inside_shade, 12, 0.5),
        rect(80, 80, 80, 24, paint.main, 6),
        rect(80, 96, 80, 6, paint.shade, 3),
        rect(92, 130, 56, 42, CREAM, 5),
        line("M88 120 v60", "#ffffff", 5, 0.55),
    ]


def bottle(paint: Paint) -> list[str]:
    return [
        shadow(42),
        rect(109, 42, 22, 20, WOOD, 4),
        path(
            "M108 58 L132 58 L132 88 C150 98 156 108 156 126 L156 188 Q156 198 146 198"
            " L94 198 Q84 198 84 188 L84 126 C84 108 90 98 108 88Z",
            paint.main,
        ),
        path(
            "M132 88 C150 98 156 108 156 126 L156 188 Q156 198 146 198 L132 198 C142 160 142 116 132 88Z",
            paint.shade,
            0.6,
        ),
        rect(84, 128, 72, 46, CREAM),
        leaf(112, 164, 28, -24, GREEN, GREEN_SHADE),
        leaf(126, 164, 28, 24, GREEN_LIGHT, GREEN_SHADE),
        line("M94 116 C95 108 99 103 104 99", paint.light, 5),
    ]


def soap(paint: Paint) -> list[str]:
    bubbles = ((70, 108, 11), (92, 84, 16), (122, 100, 8), (152, 80, 12), (172, 112, 7), (132, 62, 6))
    return [
        shadow(72),
        *(disc(x, y, radius, "#ffffff", 0.55) for x, y, radius in bubbles),
        *(disc(x - radius * 0.3, y - radius * 0.3, radius * 0.25, "#ffffff") for x, y, radius in bubbles),
        path("M52 178 L188 178 L178 194 Q176 198 170 198 L70 198 Q64 198 62 194Z", WOOD),
        rect(48, 172, 144, 10, WOOD_SHADE, 5),
        rect(68, 124, 104, 50, paint.main, 20),
        path("M68 150 L172 150 L172 154 Q172 174 152 174 L88 174 Q68 174 68 154Z", paint.shade, 0.55),
        rect(88, 134, 64, 22, paint.light, 11, 0.8),
        line("M104 145 h32", paint.shade, 3.5),
    ]


def brush(paint: Paint) -> list[str]:
    bristles = [
        line(f"M{70 + 8 * n} 160 l{(n - 6) * 0.8:.1f} 32", CREAM if n % 2 else "#e3d5b8", 6)
        for n in range(13)
    ]
    return [
        shadow(62),
        *bristles,
        path(
            "M58 160 C58 128 90 122 120 122 C150 122 182 128 182 160 Q182 166 174 166 L66 166 Q58 166 58 "
            "160Z",
            WOOD,
        ),
        path(
            "M150 126 C170 132 182 142 182 160 Q182 166 174 166 L140 166 C152 156 156 140 150 126Z",
            WOOD_SHADE,
            0.6,
        ),
        line("M92 128 C96 92 144 92 148 128", paint.main, 15),
        line("M94 120 C100 96 140 96 146 120", paint.light, 3, 0.9),
    ]
