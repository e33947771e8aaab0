"""From a served answer back to the bytes of a message, and to the run that trained what gave it."""
