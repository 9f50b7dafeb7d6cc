"""Track files of the published code of SOLA, to and from shards."""
