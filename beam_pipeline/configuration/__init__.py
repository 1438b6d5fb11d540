"""What can be asked for: options from the command line and from files, checked and settled."""
