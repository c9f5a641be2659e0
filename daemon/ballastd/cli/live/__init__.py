"""What ``ballastctl top`` shows: a view becomes sections, sections become lines that fit, lines go to a terminal."""
