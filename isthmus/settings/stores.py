"""`[store]`: the front-office store, and what is particular to each kind of store."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from isthmus.settings.postgres import stays_here
from isthmus.settings.section import Section
from isthmus.settings.values import (
    AttributePrefix,
    AwsName,
    RootCertificate,
    SchemaName,
    StoreUrl,
    Tls,
    between,
)

_HOURS_A_DAY = 24


class StoreKind(StrEnum):
    """Which store holds the front office: what stands before the colon of its address."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    DYNAMODB = "dynamodb"


class PostgresStore(Section):
    """`[store.postgres]`: a front office in PostgreSQL."""

    schema_name: SchemaName = Field(default="isthmus", alias="schema")
    # With the watchdog's 15 s a server that says nothing at all is noticed within a minute.
    statement_timeout: Annotated[float, between(1, 3600, "seconds")] = 40.0
    lock_timeout: Annotated[float, between(0.1, 3600, "seconds")] = 10.0
    # libpq counts whole seconds, and takes 1 for 2.
    connect_timeout: Annotated[float, between(2, 300, "seconds")] = 10.0
    tls: Tls = "verify"
    sslrootcert: RootCertificate = "system"


class DynamoStore(Section):
    """`[store.dynamodb]`: a front office in DynamoDB."""

    table: AwsName
    adopt: bool = False
    tombstones: Literal["item", "table"] = "item"
    oversize: Literal["park", "claim"] = "park"
    parallel: Annotated[int, between(1, 64)] = 16
    attribute_prefix: AttributePrefix = "isthmus_"


class Store(Section):
    """`[store]`: the front-office store."""

    url: StoreUrl
    history: bool = True
    delete_memory_days: Annotated[int, between(1, 36_500, "days")] = 30
    history_days: Annotated[int, between(1, 36_500, "days")] = 30
    longest_pause_days: Annotated[int, between(0, 36_500, "days")] = 7
    longest_parking_days: Annotated[int, between(0, 36_500, "days")] = 14
    postgres: PostgresStore = Field(default_factory=PostgresStore)
    dynamodb: DynamoStore

    @property
    def kind(self) -> StoreKind:
        """Which store it is."""
        return StoreKind(self.url.get_secret_value().partition(":")[0])

    @property
    def verifies_tls(self) -> bool:
        """Whether rows leave this machine on their way to PostgreSQL."""
        return self.kind is StoreKind.POSTGRESQL and not stays_here(self.url.get_secret_value())

    def memory_days_for(self, retention_hours: int) -> int:
        """Give how many days what decides must be remembered, where a stream keeps records for so many hours.

        What was decided can come again for so long: from the stream, after a pause, and out of the parking lot.
        """
        return -(-retention_hours // _HOURS_A_DAY) + self.longest_pause_days + self.longest_parking_days
