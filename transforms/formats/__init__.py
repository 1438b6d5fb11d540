"""Models of the JSON files this program writes: they describe and check, nothing writes by them."""
