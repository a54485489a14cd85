"""What is remembered between lives: who owns a source, how far it was read, how far each shard was applied."""
