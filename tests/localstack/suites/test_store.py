"""The DynamoDB store, as every store, on LocalStack's DynamoDB."""

from tests.contract import test_store_dynamodb
from tests.localstack.suites.reuse import everything_of

globals().update(everything_of(test_store_dynamodb))
