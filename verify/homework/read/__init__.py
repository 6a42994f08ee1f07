"""A file as text: what it defines, and what its definitions say. Nothing is run here."""
