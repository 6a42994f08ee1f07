"""What can be measured of a gradient: differences, and how far rounding may carry each."""
