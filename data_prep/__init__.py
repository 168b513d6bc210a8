"""Raw corpora and feature files to TFRecord shards. Conversion only."""
