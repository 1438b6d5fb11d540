"""Where files lie: one interface over local folders and object stores."""
