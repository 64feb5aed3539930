"""Draws an order's waterfall and its sequence diagram as text, as wide as the terminal."""

from collections.abc import Iterator

from rich.text import Text

from journey.admin.diagnosis.sequence import SequenceDiagram
from journey.admin.diagnosis.time_axis import TimeAxis
from journey.admin.diagnosis.timeline import message_name
from journey.admin.diagnosis.waterfall import BarKind, RowState, ServiceLane, Waterfall, WaterfallRow
from journey.admin.durations import duration
from journey.admin.text_sanitizer import plain
from journey.cli.watch import CLIENT, COLOURS

BAR_SIGNS = {
    BarKind.QUEUE: ("░", "dim"),
    BarKind.HANDLING: ("█", "green"),
    BarKind.EFFECT: ("▓", "cyan"),
    BarKind.WAIT: ("▒", "yellow"),
    BarKind.RETRY: ("▚", "magenta"),
    BarKind.ELAPSED: ("▒", "dim"),
    BarKind.UNKNOWN: ("?", "red"),
}
_STATE_SIGNS = {
    RowState.HANDLED: ("▶", "green"),
    RowState.PENDING: ("…", "yellow"),
    RowState.UNKNOWN: ("?", "red"),
    RowState.DEAD: ("×", "bold red"),
}
_MEANINGS = {
    BarKind.QUEUE: "in queue",
    BarKind.HANDLING: "handling",
    BarKind.EFFECT: "effect",
    BarKind.WAIT: "postponed or not handled yet",
    BarKind.RETRY: "failed attempts",
    BarKind.ELAPSED: "sent to handled, not recorded more exactly",
    BarKind.UNKNOWN: "unknown",
}
_NAME_CHARS, _CHART_CHARS_MIN, _SENTENCE_CHARS = 26, 24, 48
_COLUMN_CHARS_MIN, _COLUMN_CHARS_MAX = 7, 18
_CUT, _CUTS_SHOWN = "≈", 4
_LEGEND_INDENT = 3


def waterfall_lines(waterfall: Waterfall, width: int) -> Iterator[Text]:
    """One line per message and service: number, name, bars, and the same in words.

    Words that do not fit beside the bars have a line of their own.
    """
    beside = width >= _NAME_CHARS + _CHART_CHARS_MIN + _SENTENCE_CHARS
    chart = max(_CHART_CHARS_MIN, width - _NAME_CHARS - (_SENTENCE_CHARS if beside else 0))
    yield Text(" " * _NAME_CHARS).append(_axis_line(waterfall.axis, chart), style="dim")
    for lane in waterfall.lanes:
        yield _lane_title(lane)
        for row in lane.rows:
            line = _name(row).append(_chart(row, waterfall.axis, chart))
            sentence = Text(plain(row.sentence), style="red" if row.state is RowState.DEAD else "dim")
            if row.error:
                sentence.append(f": {plain(row.error)}")
            if beside and len(sentence) < _SENTENCE_CHARS:
                yield line.append(" ").append(sentence)
            else:
                yield line
                yield Text("    ").append(sentence)
    yield from _legend(waterfall, width)


def sequence_lines(diagram: SequenceDiagram, width: int) -> Iterator[Text]:
    """One line per message and consumer, with an arrow between the columns of the two."""
    names = [_title(name) for name in diagram.participants]
    column = min(_COLUMN_CHARS_MAX, max(_COLUMN_CHARS_MIN, (width - _NAME_CHARS) // max(1, len(names))))
    middles = {name: index * column + column // 2 for index, name in enumerate(diagram.participants)}
    yield from _titles(names, column)
    for arrow in diagram.arrows:
        yield _name(arrow).append(_arrow(arrow, middles, column * len(names)))


def _axis_line(axis: TimeAxis, chart: int) -> str:
    cells = [" "] * chart
    for share, label in axis.ticks(5 if chart >= 60 else 3):
        begin = min(round(share * (chart - 1)), chart - len(label))
        if all(cell == " " for cell in cells[max(0, begin - 1) : begin + len(label)]):
            cells[begin : begin + len(label)] = label
    return "".join(cells)


def _lane_title(lane: ServiceLane) -> Text:
    title = Text(lane.service, style=f"bold {COLOURS.get(lane.service, 'white')}")
    if not lane.responds:
        title.append("  does not respond: what it handled is unknown", style="bold red")
    return title


def _chart(row: WaterfallRow, axis: TimeAxis, chart: int) -> Text:
    cells = [(" ", "")] * chart
    for cut in axis.cuts:
        cells[min(chart - 1, int((cut.share_begin + cut.share_end) / 2 * chart))] = (_CUT, "dim")
    for bar in row.bars:
        begin = min(chart - 1, int(axis.share(bar.begin) * chart))
        end = max(begin + 1, round(axis.share(bar.end) * chart))
        cells[begin:end] = [BAR_SIGNS[bar.kind]] * (min(end, chart) - begin)
    if row.state is RowState.DEAD:
        cells[-1 if row.ended_at is None else min(chart - 1, int(axis.share(row.ended_at) * chart))] = (
            _STATE_SIGNS[RowState.DEAD]
        )
    return Text.assemble(*cells)


def _legend(waterfall: Waterfall, width: int) -> Iterator[Text]:
    found = {bar.kind for row in waterfall.rows for bar in row.bars}
    items = [
        Text.assemble(BAR_SIGNS[kind], (f" {_MEANINGS[kind]}", "dim")) for kind in BarKind if kind in found
    ]
    if cuts := [duration(cut.end - cut.begin) for cut in waterfall.axis.cuts]:
        shown = ", ".join(cuts[:_CUTS_SHOWN]) + (", …" if len(cuts) > _CUTS_SHOWN else "")
        items.append(Text(f"{_CUT} {shown} without activity", style="dim"))
    line = Text("   ")
    for item in items:
        if len(line) > _LEGEND_INDENT and len(line) + len(item) + 2 > width:
            yield line
            line = Text("   ")
        line.append("  " if len(line) > _LEGEND_INDENT else " ").append(item)
    yield line


def _titles(names: list[str], column: int) -> Iterator[Text]:
    """The names above their columns, on two lines if they would touch."""
    rows = 1 if all(len(name) < column for name in names) else 2
    for row in range(rows):
        cells = [" "] * (column * len(names) + column)
        for index, name in enumerate(names):
            if index % rows == row:
                begin = max(0, index * column + column // 2 - len(name) // 2)
                cells[begin : begin + len(name)] = name
        yield Text(" " * _NAME_CHARS + "".join(cells).rstrip(), style="bold")


def _arrow(arrow: WaterfallRow, middles: dict[str, int], chars: int) -> Text:
    sign, style = _STATE_SIGNS[arrow.state]
    cells = [(" ", "")] * chars
    for middle in middles.values():
        cells[middle] = ("│", "dim")
    begin, end = middles[arrow.sender], middles[arrow.service]
    if begin == end:
        cells[begin] = ("↺" if arrow.state is RowState.HANDLED else sign, style)
        return Text.assemble(*cells)
    step = 1 if begin < end else -1
    line = "─" if arrow.state is RowState.HANDLED else "╌"
    for middle in range(begin + step, end, step):
        cells[middle] = (line, style)
    cells[begin] = ("├" if step > 0 else "┤", "dim")
    pointing = ("◀" if step < 0 else sign) if arrow.state is RowState.HANDLED else sign
    cells[end] = (pointing, style)
    return Text.assemble(*cells)


def _title(participant: str) -> str:
    return participant.removesuffix("_svc") or CLIENT


def _name(row: WaterfallRow) -> Text:
    chars, name = _NAME_CHARS - 5, message_name(row.type)
    return Text(f"{row.number:>3} {name if len(name) <= chars else name[: chars - 1] + '…':<{chars + 1}}")
