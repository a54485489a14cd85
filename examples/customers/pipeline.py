"""A whole pipeline: the legacy table CUST becomes the front office's table `customer`."""

from pydantic import BaseModel, ConfigDict

from isthmus.change import Change
from isthmus.pipeline import Delete, Pipeline, Row, Skip, Transaction, Translated
from isthmus.references import References


class Customer(BaseModel):
    """What the front office knows of a customer: the contract. Strict: nothing is guessed."""

    model_config = ConfigDict(strict=True, frozen=True)
    name: str
    country: str
    vip: bool


def customer_key(row: Row) -> str:
    """Give the entity key, from the key columns alone."""
    return f"customer/{row['CUSTNO']}"


def translate(row: Row, references: References) -> list[Translated]:
    """Give the customer's new state. What is raised here parks this customer, and nobody else."""
    if row["TYP"] == "TEST":
        return [Skip("test-customer")]
    if row["STAT"] == "G":
        return [Delete(customer_key(row))]
    country = references.table("countries")[row["CTRY"]]["NAME"]
    return [Customer(name=row["NAM1"].strip().title(), country=country, vip=row["CLS"] == "A")]


def on_change(tx: Transaction, change: Change, previous: Row | None) -> None:
    """Keep a second table in step, in the same transaction."""
    if previous is None and change.data is not None:
        tx.execute("INSERT INTO welcome (customer) VALUES (?)", (change.key,))


customers = Pipeline("customer", Customer, customer_key, translate, handlers=(on_change,))
