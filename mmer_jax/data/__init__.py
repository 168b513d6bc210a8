"""Feature shards to batches: reading, splitting, padding, feeding."""
