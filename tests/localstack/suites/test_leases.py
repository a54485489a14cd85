"""The lease table of the Kinesis Client Library, on LocalStack's DynamoDB."""

from tests.contract import test_kcl_leases
from tests.localstack.suites.reuse import everything_of

globals().update(everything_of(test_kcl_leases))
