"""With inventory away the storefront gets a quick and honest no, marketplaces are taken at their word (D12, D50)."""

from tests.flows.conftest import verified
from tests.support.services import Platform
from tests.support.storefront import Storefront, good, until


async def test_a_storefront_order_is_put_off_and_an_outside_order_is_taken(
    platform: Platform, shop: Storefront
) -> None:
    await shop.stock(10, "W-1")
    good(await shop.place("o-before", ("W-1", 1)))
    await platform.kill("inventory")
    try:
        refused = await shop.place("o-away", ("W-1", 2))
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert (await shop.call("GET", "orders", "/v1/orders/o-away")).status_code == 404
        taken = good(await shop.place("o-tmall", ("W-1", 3), origin="tmall"))
        assert taken["status"] == "placed"
        paid = await shop.pay("o-before")
        assert paid["order"]["status"] == "paid", "the money is in; the stock follows by the event (D16)"
    finally:
        await platform.start("inventory")
    placed = good(await shop.place("o-away", ("W-1", 2)))
    assert placed["reservation_id"] == "o-away~0"
    assert good(await shop.place("o-away", ("W-1", 2))) == placed

    async def caught_up() -> bool:
        level = await shop.level("W-1")
        return (level["held"], level["allocated"], level["available"]) == (5, 1, 4)

    await until(caught_up)
    assert (await shop.order("o-before"))["status"] == "paid"
    await verified(platform)
