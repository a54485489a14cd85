"""The copies of poison changes: out of the front office's outbox, into an SQS queue."""
