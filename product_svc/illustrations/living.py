"""Drawings of home articles: lamps, clocks, seats and textiles."""

from math import cos, radians, sin

from product_svc.illustrations.palette import (
    BRASS,
    BRASS_SHADE,
    CREAM,
    FLAME,
    FLAME_HEART,
    GLASS,
    INK,
    WOOD,
    WOOD_LIGHT,
    WOOD_SHADE,
    Paint,
)
from product_svc.illustrations.shapes import disc, leaf, line, oval, path, rect, shadow, turned


def lamp(paint: Paint) -> list[str]:
    head = [
        path("M100 60 L140 60 L162 104 L78 104Z", paint.main),
        path("M128 60 L140 60 L162 104 L130 104Z", paint.shade, 0.6),
        rect(112, 50, 16, 14, paint.shade, 4),
        oval(120, 104, 42, 7, FLAME_HEART),
    ]
    return [
        path("M92 112 L168 112 L196 196 L64 196Z", FLAME_HEART, 0.45),
        shadow(42, 84),
        line("M84 190 L62 128 L112 66", INK, 6),
        disc(62, 128, 7, BRASS),
        turned(-14, 120, 70, head),
        path("M46 198 C46 184 60 182 84 182 C108 182 122 184 122 198Z", paint.main),
        path("M96 183 C112 184 122 188 122 198 L98 198Z", paint.shade, 0.6),
    ]


def clock(paint: Paint) -> list[str]:
    ticks = [_tick(hour) for hour in range(12)]
    return [
        disc(126, 118, 74, "#1d1a2b", 0.16),
        disc(120, 110, 74, paint.main),
        disc(120, 110, 74, paint.shade, 0.25),
        disc(118, 108, 70, paint.main),
        disc(120, 110, 58, CREAM),
        *ticks,
        line("M120 110 L120 74", INK, 6),
        line("M120 110 L146 124", INK, 5),
        line("M120 118 L120 66", "#c9523f", 2),
        disc(120, 110, 6, INK),
        line("M72 74 A60 60 0 0 1 92 54", paint.light, 6),
    ]


def _tick(hour: int) -> str:
    angle, long_ = radians(30 * hour), 10 if hour % 3 == 0 else 5
    x, y = sin(angle), -cos(angle)
    return line(
        f"M{120 + 52 * x:.1f} {110 + 52 * y:.1f} L{120 + (52 - long_) * x:.1f} {110 + (52 - long_) * y:.1f}",
        INK,
        3,
    )


def chair(paint: Paint) -> list[str]:
    return [
        shadow(62),
        line("M92 146 L90 184", WOOD_SHADE, 7),
        line("M150 146 L152 184", WOOD_SHADE, 7),
        line("M84 60 L88 140", WOOD, 8),
        line("M156 60 L152 140", WOOD, 8),
        path("M78 52 Q120 40 162 52 L158 92 Q120 82 82 92Z", paint.main),
        path("M140 47 Q152 49 162 52 L158 92 Q150 89 140 87Z", paint.shade, 0.5),
        path("M78 128 L162 128 L174 150 Q174 158 164 158 L76 158 Q66 158 66 150Z", paint.main),
        path("M66 150 L174 150 Q174 158 164 158 L76 158 Q66 158 66 150Z", paint.shade),
        line("M76 160 L68 196", WOOD, 8),
        line("M164 160 L172 196", WOOD, 8),
        line("M90 136 L140 136", paint.light, 4, 0.9),
    ]


def vase(paint: Paint) -> list[str]:
    stalks = (
        (120, 100, 120, 34),
        (116, 104, 88, 50),
        (124, 104, 154, 46),
        (118, 104, 100, 72),
        (122, 104, 142, 76),
    )
    blossoms = ("#e2a04a", CREAM, "#d98a92", "#e2a04a", CREAM)
    return [
        shadow(46),
        *(line(f"M{x} {y} Q{x} {(y + top) / 2} {end} {top}", "#6f7f58", 3) for x, y, end, top in stalks),
        *(disc(end, top, 10, colour) for (_, _, end, top), colour in zip(stalks, blossoms, strict=True)),
        *(disc(end, top, 4, BRASS_SHADE) for _, _, end, top in stalks),
        path(
            "M106 100 L134 100 C132 120 164 134 158 168 C156 186 146 198 134 198"
            " L106 198 C94 198 84 186 82 168 C76 134 108 120 106 100Z",
            paint.main,
        ),
        path(
            "M126 100 L134 100 C132 120 164 134 158 168 C156 186 146 198 134 198 L122 198 C146 170 136 "
            "130 126 100Z",
            paint.shade,
            0.55,
        ),
        oval(120, 100, 15, 4, paint.shade),
        line("M92 160 C92 146 100 138 106 130", paint.light, 6),
    ]


def candle(paint: Paint) -> list[str]:
    return [
        disc(120, 74, 46, FLAME_HEART, 0.5),
        shadow(58),
        oval(120, 193, 60, 9, BRASS_SHADE),
        oval(120, 190, 60, 8, BRASS),
        rect(88, 110, 64, 80, paint.main, 6),
        rect(130, 110, 22, 80, paint.shade, 6, 0.55),
        oval(120, 111, 32, 8, paint.light),
        path("M96 112 q2 26 8 26 q6 0 6 -24Z", paint.light),
        line("M120 110 L120 98", INK, 3.5),
        path("M120 48 C138 70 136 98 120 100 C104 98 102 70 120 48Z", FLAME),
        path("M120 70 C129 82 128 97 120 98 C112 97 111 82 120 70Z", FLAME_HEART),
    ]


def lantern(paint: Paint) -> list[str]:
    return [
        disc(120, 140, 62, FLAME_HEART, 0.4),
        shadow(52),
        line("M100 66 C100 36 140 36 140 66", INK, 5),
        path("M82 92 L104 62 L136 62 L158 92Z", paint.main),
        path("M124 62 L136 62 L158 92 L130 92Z", paint.shade, 0.6),
        rect(84, 92, 72, 94, GLASS, 4, 0.75),
        rect(106, 146, 28, 40, CREAM, 3),
        path("M120 112 C130 126 129 142 120 144 C111 142 110 126 120 112Z", FLAME),
        rect(80, 90, 80, 8, paint.shade, 4),
        rect(82, 92, 8, 98, paint.main, 3),
        rect(150, 92, 8, 98, paint.main, 3),
        rect(74, 184, 92, 14, paint.shade, 5),
    ]


def basket(paint: Paint) -> list[str]:
    weave = [
        line(f"M{74 + 4 * row} {142 + 17 * row} h{92 - 8 * row}", WOOD_SHADE, 4, 0.55) for row in range(4)
    ]
    staves = [line(f"M{78 + 14 * n} 132 L{86 + 11.4 * n:.1f} 194", WOOD_LIGHT, 4, 0.6) for n in range(7)]
    return [
        shadow(56),
        line("M78 132 C82 56 158 56 162 132", WOOD_SHADE, 8),
        path("M92 128 C88 96 150 92 150 128Z", paint.main),
        path("M124 128 C120 104 164 100 162 128Z", paint.light),
        path("M66 128 L174 128 L162 190 Q160 198 152 198 L88 198 Q80 198 78 190Z", WOOD),
        *weave,
        *staves,
        rect(62, 122, 116, 14, WOOD_SHADE, 7),
    ]


def mirror(paint: Paint) -> list[str]:
    return [
        oval(126, 118, 62, 78, "#1d1a2b", 0.16),
        oval(120, 110, 62, 78, paint.main),
        oval(120, 110, 51, 67, "#d5e3e8"),
        path("M82 128 L128 48 Q142 52 150 62 L96 156 Q86 144 82 128Z", "#ffffff", 0.55),
        path("M108 170 L162 76 L166 88 L120 174Z", "#ffffff", 0.4),
        disc(120, 28, 7, paint.shade),
    ]


def blanket(paint: Paint) -> list[str]:
    folds = [
        rect(52, 158, 136, 40, paint.shade, 16),
        rect(56, 128, 128, 38, paint.main, 16),
        rect(52, 98, 132, 38, paint.light, 16),
    ]
    fringe = [line(f"M{62 + 11 * n} 172 v20", CREAM, 3.5, 0.9) for n in range(11)]
    return [
        shadow(78),
        *folds,
        *(line(f"M{x} 102 v30", CREAM, 6, 0.9) for x in (84, 96, 148)),
        *(line(f"M{x} 132 v30", CREAM, 5, 0.7) for x in (84, 96, 148)),
        *fringe,
    ]


def cushion(paint: Paint) -> list[str]:
    whole = [
        path("M58 92 Q120 104 182 92 Q172 142 182 192 Q120 182 58 192 Q68 142 58 92Z", paint.main),
        path("M150 97 Q168 95 182 92 Q172 142 182 192 Q164 187 140 187 Q160 140 150 97Z", paint.shade, 0.5),
        *(line(f"M{84 + 24 * n} 99 Q{86 + 23 * n} 142 {84 + 24 * n} 186", CREAM, 5, 0.85) for n in range(4)),
        *(disc(x, y, 7, paint.light) for x, y in ((58, 92), (182, 92), (58, 192), (182, 192))),
    ]
    return [shadow(70), turned(-4, 120, 142, whole)]


def towel(paint: Paint) -> list[str]:
    return [
        rect(42, 58, 156, 9, WOOD, 4.5),
        disc(42, 62, 9, WOOD_SHADE),
        disc(198, 62, 9, WOOD_SHADE),
        path("M72 60 L126 60 L126 150 L72 150Z", paint.shade),
        path("M80 56 Q80 52 86 52 L162 52 Q168 52 168 56 L172 178 Q124 186 76 178Z", paint.main),
        path(
            "M144 52 L162 52 Q168 52 168 56 L172 178 Q160 181 146 182 C150 140 148 90 144 52Z",
            paint.shade,
            0.45,
        ),
        *(line(f"M78 {y} Q124 {y + 7} 171 {y}", CREAM, 6, 0.9) for y in (138, 152)),
        *(line(f"M{82 + 10 * n} 181 v10", paint.light, 3.5) for n in range(9)),
    ]


def apron(paint: Paint) -> list[str]:
    return [
        line("M96 76 C92 24 148 24 144 76", paint.shade, 6),
        line("M72 122 C50 126 46 146 54 160", paint.shade, 6),
        line("M168 122 C190 126 194 146 186 160", paint.shade, 6),
        path(
            "M92 70 L148 70 C150 100 160 112 172 120 L176 198 Q120 206 64 198 L68 120 C80 112 90 100 92 70Z",
            paint.main,
        ),
        path(
            "M136 70 L148 70 C150 100 160 112 172 120 L176 198 Q160 201 142 202 C150 160 146 110 136 70Z",
            paint.shade,
            0.5,
        ),
        path("M92 140 L148 140 L146 176 Q120 180 94 176Z", paint.light),
        line("M92 147 h56", CREAM, 3.5),
        leaf(120, 172, 22, 0, CREAM, paint.shade),
    ]
