"""The operators' library: everything that the commands and the staff pages do, without a terminal."""
