"""Caption engines: everything that turns a window's frames and a prompt into text."""
