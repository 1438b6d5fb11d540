"""From committed clips to WebDataset shards."""
