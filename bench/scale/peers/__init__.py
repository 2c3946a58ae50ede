"""Other systems on the same passages, each in a process and an environment of its own."""
