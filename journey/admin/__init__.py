"""Library for operators: what the commands and the staff pages do, without a terminal."""
