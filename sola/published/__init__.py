"""Import track files of the published code of SOLA as shards."""
