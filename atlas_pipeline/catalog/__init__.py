"""Reports about all tables at once, made from declarations and Atlas's own record."""
