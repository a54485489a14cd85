"""A pipeline of kind `event`: every row of the append-only table POSTING is deducted from its account, once.

What decides is the ledger: the transaction ID is noted in the same transaction that changes the balance. So a posting
that comes again, after a crash, from another worker or in a replay of the whole stream, finds its ID there.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from isthmus.change import Change, Kind
from isthmus.errors import Poison
from isthmus.pipeline import Handler, Pipeline, Row, Transaction, Translated
from isthmus.references import References


class Deduction(BaseModel):
    """What the front office knows of a posting: the contract. Amounts are whole cents."""

    model_config = ConfigDict(strict=True, frozen=True)
    amount: Annotated[int, Field(gt=0)]


def account_key(row: Row) -> str:
    """Give the entity key: what happens to one account has an order, and lies in one lane."""
    return f"account/{row['ACCT']}"


def translate(row: Row, _references: References) -> list[Translated]:
    """Give the deduction. One that is no positive amount parks its account, and what comes after it waits behind."""
    return [Deduction(amount=row["AMT"])]


def on_change(tx: Transaction, change: Change, _previous: Row | None) -> None:
    """Deduct in a SQLite front office, in the transaction that notes the transaction ID."""
    _deduct(tx, change, "?")


def on_change_postgres(tx: Transaction, change: Change, _previous: Row | None) -> None:
    """Do the same in PostgreSQL, where parameters have another mark."""
    _deduct(tx, change, "%s")


def on_change_dynamodb(_tx: Transaction, change: Change, _previous: Row | None) -> list[dict[str, Any]]:
    """Give what DynamoDB is to do in the one transaction that also notes the transaction ID."""
    return [
        {
            "Update": {
                "TableName": "account",
                "Key": {"key": change.key},
                "UpdateExpression": "SET balance = balance - :amount",
                "ConditionExpression": "attribute_exists(balance)",
                "ExpressionAttributeValues": {":amount": change.data["amount"]},
            }
        }
    ]


def _deduct(tx: Transaction, change: Change, mark: str) -> None:
    statement = f"UPDATE account SET balance = balance - {mark} WHERE key = {mark} RETURNING key"  # noqa: S608 - marks only
    if not tx.execute(statement, (change.data["amount"], change.key)):
        # Without this the posting would count as done, and its money would be nowhere.
        raise Poison("no-account")


def _pipeline(on_change: Handler) -> Pipeline:
    return Pipeline("deduction", Deduction, account_key, translate, kind=Kind.EVENT, handlers=(on_change,))


deductions = _pipeline(on_change)
deductions_postgres = _pipeline(on_change_postgres)
deductions_dynamodb = _pipeline(on_change_dynamodb)
