"""Embedding models: everything that turns a clip's frames into one vector, one file each."""
