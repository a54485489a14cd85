"""Mappings of the user's own shape, on LocalStack's DynamoDB."""

from tests.contract import test_dynamodb_mapping
from tests.localstack.suites.reuse import everything_of

globals().update(everything_of(test_dynamodb_mapping))
