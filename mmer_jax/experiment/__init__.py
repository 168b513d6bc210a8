"""Makes the runs of a config from its shards; needs no device."""
