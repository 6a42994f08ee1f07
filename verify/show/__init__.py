"""Shows what was found: as text, HTML, tables of many files, pictures."""
