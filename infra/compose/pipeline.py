# ruff: noqa: INP001 - lies beside its settings, as a user's own pipeline does
"""The customers example with a PostgreSQL front office: contract, key and translator are those of the example."""

from isthmus_examples.customers.pipeline import Customer, customer_key, translate

from isthmus.change import Change
from isthmus.pipeline import Pipeline, Row, Transaction


def on_change(tx: Transaction, change: Change, previous: Row | None) -> None:
    """Keep a second table in step, in the same transaction. PostgreSQL's parameters stand at `%s`."""
    if previous is None and change.data is not None:
        tx.execute("INSERT INTO welcome (customer) VALUES (%s)", (change.key,))


customers = Pipeline("customer", Customer, customer_key, translate, handlers=(on_change,))
