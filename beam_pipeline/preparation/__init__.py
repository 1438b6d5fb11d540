"""From settled options to a run that can start: what stages need, what is there, is it right."""
