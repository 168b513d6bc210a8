"""Features from raw text and from sound, for any source."""
