"""Filling the shop: what does not come to be known is told with a remedy."""

import httpx
import pytest

from journey import shop
from journey.infra.model import InfrastructureUnavailable


async def test_what_does_not_come_to_be_known_is_a_sentence_with_a_remedy() -> None:
    nobody = httpx.MockTransport(lambda request: httpx.Response(404))
    async with httpx.AsyncClient(transport=nobody) as http:
        with pytest.raises(InfrastructureUnavailable, match=r"prices/KETTLE-BLUE was not known within 0 s") as refused:
            await shop._known(http, "http://order_svc/prices/KETTLE-BLUE", wait_s=0)
    assert "see the log" in refused.value.remedy
