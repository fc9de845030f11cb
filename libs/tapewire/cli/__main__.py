"""`python -m tapewire.cli` is the same as `tapewire`."""

from tapewire.cli import main

main(prog_name="tapewire")
