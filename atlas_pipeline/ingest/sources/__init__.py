"""Where the rows of a dataset come from."""
