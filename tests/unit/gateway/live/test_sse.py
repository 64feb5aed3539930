"""The wire format of server-sent events (HTML standard, section 9.2)."""

import pytest
from fastapi.sse import ServerSentEvent
from pydantic import ValidationError

from gateway.live.sse import encode_event


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (ServerSentEvent(raw_data="one", id="7"), b"data: one\nid: 7\n\n"),
        (ServerSentEvent(raw_data="", event="end"), b"event: end\ndata: \n\n"),
        (ServerSentEvent(raw_data="a\nb\r\nc\rd\n"), b"data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"),
        (ServerSentEvent(raw_data="x\u2028y\x0bz"), "data: x\u2028y\x0bz\n\n".encode()),
        (ServerSentEvent(retry=2000), b"retry: 2000\n\n"),
        (ServerSentEvent(comment="ping"), b": ping\n\n"),
    ],
    ids=["id", "empty", "lines", "other-breaks", "retry", "comment"],
)
def test_an_event_is_sent_as_its_fields(event: ServerSentEvent, expected: bytes) -> None:
    assert encode_event(event) == expected


@pytest.mark.parametrize("field", ["id", "event"])
def test_a_field_of_one_line_cannot_smuggle_in_another(field: str) -> None:
    with pytest.raises(ValidationError):
        ServerSentEvent(**{field: "1\ndata: forged"})
