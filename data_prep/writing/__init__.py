"""Writes corpora as shards with a manifest."""
