"""Payloads, in LocalStack's S3."""

from tests.integration import test_aws_payloads
from tests.localstack.suites.reuse import everything_of

globals().update(everything_of(test_aws_payloads))
