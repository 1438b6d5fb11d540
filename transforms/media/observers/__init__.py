"""What looks at the frames of a finished clip, one file each."""
