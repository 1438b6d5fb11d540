"""From options to the models that a run needs, and whether they are here."""
