"""`isthmus gate` before a front office in DynamoDB: real processes hold, and let go in order when the gate opens."""

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.console.exits import Exit
from tests.fakes.emulator import Emulator
from tests.fakes.shop import Shop, until

PLAIN = """
from isthmus.pipeline import Pipeline
from isthmus_examples.customers.pipeline import Customer, customer_key, translate

customers = Pipeline("customer", Customer, customer_key, translate)
"""


@pytest.mark.parametrize("strict", [False, True], ids=["within 2 s", "strict"])
def test_a_closed_process_holds_and_all_of_it_drains_in_order(
    make_shop: Callable[..., Shop], emulator: Emulator, *, strict: bool
) -> None:
    shop, client = make_shop(), emulator.client("dynamodb")
    table = f"{shop.name}-customer"
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    (shop.folder / "plain_customers.py").write_text(PLAIN, encoding="utf-8")
    shop.set("isthmus_examples.customers.pipeline:customers", "plain_customers:customers")
    shop.set('table = "customer"', f'table = "{table}"\nprocess = "sales"')
    shop.set("sqlite:///front/front-office.db", "dynamodb:")
    shop.set("[metrics]", f"[gate]\nwatched = true\nstrict = {str(strict).lower()}\n[metrics]")
    assert shop.command("setup").code == Exit.DONE

    def names(*numbers: int) -> dict[str, str]:
        """Give what the front office shows of some customers."""
        found = (client.get_item(TableName=table, Key={"key": {"S": f"customer/{number}"}}) for number in numbers)
        return {item["key"]["S"]: item["name"]["S"] for answer in found if "name" in (item := answer.get("Item", {}))}

    def held() -> list[tuple[str, int, int]]:
        rows: list[dict[str, Any]] = shop.ask("status")["held"]
        return [(row["gate"], row["keys"], row["changes"]) for row in rows]

    shop.start("produce")
    consumer = shop.start("consume")
    shop.customer(10, "FIRST")
    until(lambda: names(10) == {"customer/10": "First"}, f"it lives\n{consumer.text}")
    assert shop.command("gate", "close", "--process", "sales", "--reason", "closing the books").code == Exit.DONE
    consumer.says("gate_closed")
    for number in range(10, 30):
        shop.customer(number, f"NAME {number}")
    until(lambda: held() == [("process=sales", 20, 20)], f"20 held\n{consumer.text}")
    shop.customer(10, "RENAMED")
    until(lambda: held() == [("process=sales", 20, 21)], "21 held")
    assert names(*range(10, 30)) == {"customer/10": "First"}
    assert "gate process=sales" in shop.command("trace", "customer/10").out
    assert shop.command("gate", "open", "--process", "sales").code == Exit.DONE
    until(lambda: held() == [], f"drained\n{consumer.text}")
    wanted = {f"customer/{number}": f"Name {number}" for number in range(11, 30)} | {"customer/10": "Renamed"}
    assert names(*range(10, 30)) == wanted
    shop.customer(41, "LIVE")
    until(lambda: names(41), "live again")
    consumer.says("drained")
    assert consumer.child.poll() is None
