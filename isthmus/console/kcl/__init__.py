"""`isthmus consume` by the Kinesis Client Library: a daemon, a child for each shard, and who looks after them."""
