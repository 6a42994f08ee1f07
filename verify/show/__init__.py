"""What was found, shown: as text, as HTML, as tables of many files, as pictures."""
