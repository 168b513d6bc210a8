"""Configs for one's own corpus, which settle themselves by its shards."""
