"""Drawings of desk articles, and of a parcel, the fallback for articles without their own drawing."""

from product_svc.illustrations.palette import (
    BRASS,
    BRASS_LIGHT,
    BRASS_SHADE,
    CREAM,
    CREAM_SHADE,
    GLASS,
    INK,
    PAINTS,
    WOOD,
    WOOD_LIGHT,
    WOOD_SHADE,
    Paint,
)
from product_svc.illustrations.shapes import disc, line, oval, path, rect, shadow, turned


def notebook(paint: Paint) -> list[str]:
    whole = [
        rect(76, 58, 94, 138, CREAM_SHADE, 8),
        rect(72, 54, 94, 138, paint.main, 8),
        rect(72, 54, 16, 138, paint.shade, 8),
        rect(102, 82, 50, 34, CREAM, 4),
        line("M110 94 h34 M110 104 h22", INK, 2.5, 0.55),
        line("M154 54 v138", paint.light, 5),
        path("M118 192 h12 v18 l-6 -6 l-6 6Z", "#c9523f"),
    ]
    return [shadow(62), turned(-6, 120, 130, whole)]


def pencils(paint: Paint) -> list[str]:
    def pencil(main: str, shade: str) -> list[str]:
        return [
            path("M111 78 L120 52 L129 78Z", WOOD_LIGHT),
            path("M116.5 62 L120 52 L123.5 62Z", INK),
            rect(111, 78, 18, 84, main),
            rect(123, 78, 6, 84, shade),
        ]

    yellow, blue = PAINTS["mustard"], PAINTS["blue"]
    return [
        shadow(46),
        turned(-17, 120, 196, pencil(blue.main, blue.shade)),
        turned(17, 120, 196, pencil("#c9523f", "#94372c")),
        turned(-2, 120, 196, pencil(yellow.main, yellow.shade)),
        path("M82 126 L158 126 L152 190 Q151 198 142 198 L98 198 Q89 198 88 190Z", paint.main),
        path(
            "M136 126 L158 126 L152 190 Q151 198 142 198 L128 198 C134 176 136 150 136 126Z",
            paint.shade,
            0.55,
        ),
        rect(78, 120, 84, 12, paint.light, 6),
    ]


def books(paint: Paint) -> list[str]:
    def lying(x: float, y: float, width: float, cover: str, shade: str) -> list[str]:
        return [
            rect(x, y, width, 28, cover, 6),
            rect(x + 14, y + 5, width - 12, 18, CREAM, 3),
            line(f"M{x + 20} {y + 11} h{width - 24} M{x + 20} {y + 17} h{width - 24}", CREAM_SHADE, 1.6),
            rect(x, y, 18, 28, shade, 6),
        ]

    plum, straw = PAINTS["plum"], PAINTS["mustard"]
    opened = [
        path("M60 84 L120 96 L180 84 L180 108 L120 116 L60 108Z", PAINTS["teal"].shade),
        path("M64 78 Q96 72 120 92 L120 112 Q96 96 64 104Z", CREAM),
        path("M176 78 Q144 72 120 92 L120 112 Q144 96 176 104Z", "#efe6d2"),
        line(
            "M74 85 q16 -2 34 8 M74 93 q16 -2 34 9 M166 85 q-16 -2 -34 8 M166 93 q-16 -2 -34 9", INK, 1.8, 0.4
        ),
    ]
    return [
        shadow(70),
        *lying(56, 168, 128, plum.main, plum.shade),
        *lying(66, 139, 112, paint.main, paint.shade),
        *lying(62, 110, 114, straw.main, straw.shade),
        *opened,
    ]


def envelope(paint: Paint) -> list[str]:
    letter = [
        rect(62, 58, 116, 100, "#ffffff", 4),
        *(line(f"M76 {76 + 13 * n} h{88 - 22 * (n == 3)}", INK, 2.5, 0.35) for n in range(4)),
    ]
    return [
        shadow(78),
        turned(-3, 120, 120, letter),
        rect(46, 108, 148, 90, paint.main, 8),
        path(
            "M46 116 L112 162 Q120 168 128 162 L194 116 L194 190 Q194 198 186 198 L54 198 Q46 198 46 190Z",
            paint.light,
        ),
        line("M50 194 L104 152 M190 194 L136 152", paint.shade, 2.5, 0.7),
        disc(120, 164, 13, "#b94a48"),
        path("M120 171 c-9 -6 -8 -13 -3 -13 q3 0 3 3 q0 -3 3 -3 c5 0 6 7 -3 13Z", "#e59f83"),
    ]


def ink(paint: Paint) -> list[str]:
    pen = [
        path("M112 40 L128 40 L126 110 L114 110Z", paint.main),
        rect(114, 106, 12, 10, BRASS, 2),
        path("M114 116 L126 116 L120 142Z", BRASS_LIGHT),
        line("M120 122 v18", BRASS_SHADE, 1.6),
    ]
    return [
        shadow(58, 112),
        rect(66, 136, 88, 62, GLASS, 12),
        path("M72 156 L148 156 L148 182 Q148 192 138 192 L82 192 Q72 192 72 182Z", paint.shade),
        rect(84, 118, 52, 20, GLASS, 5),
        oval(110, 118, 26, 6, INK),
        rect(86, 164, 48, 20, CREAM, 3),
        line("M78 146 v30", "#ffffff", 4, 0.7),
        turned(28, 120, 140, pen),
    ]


def parcel(paint: Paint) -> list[str]:
    return [
        shadow(72),
        path("M56 110 L120 90 L184 110 L120 132Z", WOOD_LIGHT),
        path("M56 110 L120 132 L120 200 L60 180 Q56 178 56 174Z", WOOD),
        path("M184 110 L120 132 L120 200 L180 180 Q184 178 184 174Z", WOOD_SHADE),
        path("M82 102 L146 123 L146 191 L158 187 L158 119 L96 98Z", paint.main, 0.95),
        path("M144 98 L82 119 L82 187 L94 191 L94 123 L158 102Z", paint.light, 0.95),
        path("M120 108 C92 72 76 92 118 110Z", paint.main),
        path("M120 108 C148 72 164 92 122 110Z", paint.main),
        disc(120, 108, 7, paint.shade),
    ]
