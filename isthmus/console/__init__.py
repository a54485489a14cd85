"""The `isthmus` command: composition roots that wire everything. Nothing imports this floor."""
