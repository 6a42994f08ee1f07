"""Error bars: derived for the built-in network, measured for any other function."""
