"""Fixtures of the tests with real processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.emulator import Emulator
from tests.fakes.forwarder import Forwarder
from tests.fakes.shop import SECRET, Shop


@pytest.fixture
def make_shop(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Shop]]:
    """Give a maker of shops; `port` is where their AWS is, `name` their folder. Ends their processes."""
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    shops: list[Shop] = []

    def make(name: str = "shop", port: int | None = None) -> Shop:
        shops.append(Shop(tmp_path / name, port or emulator.port))
        return shops[-1]

    yield make
    for shop in shops:
        shop.close()


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    """Give a shop that was set up."""
    made = make_shop()
    said = made.command("setup")
    assert said.code == 0, said
    return made


@pytest.fixture
def forwarder(emulator: Emulator) -> Iterator[Forwarder]:
    """Give a way to the emulator that can be cut."""
    made = Forwarder(emulator.port)
    yield made
    made.close()
