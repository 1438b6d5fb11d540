"""The library: one file per stage, from records to records."""
