"""Commands of the application, one module each."""
