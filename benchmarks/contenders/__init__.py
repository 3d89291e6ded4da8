"""One way to keep sessions per module; `contender` says what each of them has to do."""
