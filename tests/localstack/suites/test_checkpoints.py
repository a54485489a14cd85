"""The checkpoint ports, on LocalStack's DynamoDB."""

from tests.contract import test_checkpoint_dynamodb
from tests.localstack.suites.reuse import everything_of

globals().update(everything_of(test_checkpoint_dynamodb))
