"""DynamoDB Local for tests, with a client: installed into build/, where nothing but a new version fetches it again."""

from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from isthmus.console.dev import dynamodb_local
from tests.fakes.kinesis_mock import HOME


@cache
def unavailable() -> str:
    """Say why DynamoDB Local cannot run here, or nothing. Fetches it the first time."""
    return dynamodb_local.unavailable(HOME)


class DynamoLocal(dynamodb_local.DynamoLocal):
    """One running DynamoDB Local, in memory. Tests share it, and its `client`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, home=HOME)
        self.client: Any = boto3.client(
            "dynamodb",
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - it takes any
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=20, proxies={}),
        )

    def close(self) -> None:
        """Close the client and end the process."""
        self.client.close()
        super().close()
