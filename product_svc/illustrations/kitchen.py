"""Drawings of kitchen articles."""

from product_svc.illustrations.palette import BRASS_LIGHT, CREAM, INK, WOOD, WOOD_LIGHT, WOOD_SHADE, Paint
from product_svc.illustrations.shapes import disc, line, oval, path, rect, shadow, steam, turned

_TEA = "#8d5730"


def kettle(paint: Paint) -> list[str]:
    return [
        shadow(64),
        line("M80 128 C66 62 174 62 160 128", INK, 9),
        path("M164 146 C186 144 186 124 200 114 L212 124 C200 136 198 166 168 174Z", paint.shade),
        path(
            "M70 186 C62 146 84 108 120 108 C156 108 178 146 170 186 Q168 198 156 198 L84 198 Q72 198 70 "
            "186Z",
            paint.main,
        ),
        path(
            "M128 109 C160 112 177 148 170 186 Q168 198 156 198 L132 198 C154 176 152 130 128 109Z",
            paint.shade,
            0.55,
        ),
        oval(120, 111, 30, 7, paint.shade),
        disc(120, 100, 8, INK),
        line("M86 156 C88 142 95 132 105 126", paint.light, 7),
    ]


def teapot(paint: Paint) -> list[str]:
    return [
        shadow(62),
        line("M76 136 C40 130 42 186 82 178", paint.shade, 10),
        path("M156 142 C178 140 178 118 192 110 L204 120 C194 132 192 166 158 178Z", paint.main),
        oval(118, 154, 54, 43, paint.main),
        path("M126 112 C180 116 184 190 126 196 C158 180 158 130 126 112Z", paint.shade, 0.5),
        rect(92, 190, 52, 8, paint.shade, 4),
        path("M90 120 C94 104 142 104 146 120Z", paint.light),
        disc(118, 101, 8, paint.shade),
        *(disc(96 + 15 * n, 156 + 6 * (n % 2), 4, CREAM) for n in range(4)),
        line("M78 150 C80 138 86 130 94 126", paint.light, 6),
    ]


def cup(paint: Paint) -> list[str]:
    return [
        shadow(72),
        steam(106, 112),
        steam(126, 106),
        oval(120, 194, 68, 8, paint.shade),
        oval(120, 191, 68, 7, paint.main),
        line("M160 138 C192 132 192 168 152 170", paint.main, 9),
        path("M74 126 L166 126 C166 166 152 190 134 192 L106 192 C88 190 74 166 74 126Z", paint.main),
        path(
            "M138 128 L166 126 C166 166 152 190 134 192 L120 192 C138 180 142 150 138 128Z", paint.shade, 0.5
        ),
        oval(120, 126, 46, 10, paint.light),
        oval(120, 127, 39, 7, _TEA),
    ]


def mug(paint: Paint) -> list[str]:
    return [
        shadow(56),
        steam(104, 100),
        steam(122, 94),
        line("M150 132 C188 126 188 182 148 176", paint.main, 11),
        path("M72 116 L154 116 L150 186 Q149 198 138 198 L88 198 Q77 198 76 186Z", paint.main),
        path(
            "M134 116 L154 116 L150 186 Q149 198 138 198 L124 198 C132 176 134 146 134 116Z",
            paint.shade,
            0.55,
        ),
        *(disc(86 + 13 * (n % 4) + 5 * (n // 4), 142 + 17 * (n // 4), 2.6, CREAM) for n in range(11)),
        oval(113, 116, 41, 8, paint.light),
        oval(113, 117, 35, 5.5, _TEA),
    ]


def bowl(paint: Paint) -> list[str]:
    return [
        shadow(50),
        rect(96, 186, 48, 12, paint.shade, 5),
        path("M58 136 L182 136 C180 172 152 192 120 192 C88 192 60 172 58 136Z", paint.main),
        path("M150 138 L182 136 C180 172 152 192 120 192 C144 180 152 160 150 138Z", paint.shade, 0.5),
        line("M66 158 C92 170 148 170 174 158", CREAM, 4, 0.85),
        oval(120, 136, 62, 13, paint.light),
        oval(120, 138, 55, 10, paint.shade),
        disc(98, 128, 15, "#c9523f"),
        disc(126, 124, 17, "#d98038"),
        disc(150, 130, 13, "#d9b13f"),
        line("M98 113 q2 -8 8 -10", WOOD_SHADE, 3),
    ]


def board(paint: Paint) -> list[str]:
    grain = [line(f"M{92 + 14 * n} 112 q{4 - 2 * n} 34 0 70", WOOD_SHADE, 2, 0.45) for n in range(5)]
    handle = [rect(106, 44, 28, 56, WOOD, 14), disc(120, 58, 6, WOOD_SHADE)]
    knife = [
        path("M168 90 C184 96 186 130 180 146 L166 146Z", "#c9d1d6"),
        rect(165, 144, 16, 52, INK, 7),
        disc(173, 160, 2, CREAM),
        disc(173, 178, 2, CREAM),
    ]
    return [
        shadow(66),
        turned(
            -5,
            120,
            196,
            [*handle, rect(76, 90, 88, 106, WOOD, 16), *grain, rect(76, 186, 88, 10, WOOD_SHADE, 5)],
        ),
        turned(8, 172, 196, knife),
    ]


def spoons(paint: Paint) -> list[str]:
    one = [rect(116, 74, 8, 80, WOOD, 4), oval(120, 66, 13, 20, WOOD_LIGHT), oval(120, 66, 8, 14, WOOD)]
    flat = [rect(116, 74, 8, 80, WOOD_SHADE, 4), path("M106 46 L134 46 L130 88 L110 88Z", WOOD)]
    return [
        shadow(48),
        turned(-18, 120, 190, one),
        turned(17, 120, 190, flat),
        turned(1, 120, 190, one),
        path("M82 128 L158 128 L152 188 Q151 198 140 198 L100 198 Q89 198 88 188Z", paint.main),
        path(
            "M136 128 L158 128 L152 188 Q151 198 140 198 L126 198 C134 176 136 152 136 128Z",
            paint.shade,
            0.55,
        ),
        rect(78, 122, 84, 12, paint.light, 6),
        line("M90 160 L150 160", CREAM, 4, 0.85),
    ]


def samovar(paint: Paint) -> list[str]:
    return [
        shadow(54),
        line("M76 118 C52 112 56 146 80 142", paint.shade, 7),
        line("M164 118 C188 112 184 146 160 142", paint.shade, 7),
        rect(84, 186, 72, 12, paint.shade, 5),
        path("M104 188 C104 176 98 172 96 166 L144 166 C142 172 136 176 136 188Z", paint.main),
        path("M76 104 C70 140 88 172 104 172 L136 172 C152 172 170 140 164 104Z", paint.main),
        path(
            "M140 104 L164 104 C170 140 152 172 136 172 L126 172 C142 152 146 130 140 104Z", paint.shade, 0.6
        ),
        line("M88 116 C88 136 94 150 102 160", paint.light, 6),
        rect(70, 94, 100, 12, paint.light, 6),
        path("M96 94 C98 78 142 78 144 94Z", paint.shade),
        oval(120, 64, 25, 19, CREAM),
        path("M142 60 C154 60 154 48 162 46 L166 52 C160 60 158 72 142 74Z", CREAM),
        line("M97 58 C84 56 84 74 99 72", CREAM, 5),
        path("M106 48 C110 40 130 40 134 48Z", "#c9523f"),
        disc(120, 38, 5, "#c9523f"),
        rect(114, 144, 12, 10, INK, 3),
        line("M120 152 v14", INK, 6),
        line("M110 142 h20", BRASS_LIGHT, 4),
        steam(172, 76),
    ]
