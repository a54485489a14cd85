"""The child of the Kinesis Client Library's daemon: one process for each shard, spoken to over two pipes."""
