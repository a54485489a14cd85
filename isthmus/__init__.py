"""Isthmus keeps a front office in step with its back office, over Amazon Kinesis Data Streams."""
