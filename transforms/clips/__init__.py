"""From spans to committed clips."""
