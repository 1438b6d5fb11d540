"""What a run will make and take, before it starts."""
