"""What comes after a search: the trained network in a file, and one test on images that no search sees."""
