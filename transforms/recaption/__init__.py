"""Captioning the clips of a finished split anew, into a version of the metadata of its own."""
