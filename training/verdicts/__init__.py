"""What operators decided, turned into labels. The API is known here only by its JSON."""
