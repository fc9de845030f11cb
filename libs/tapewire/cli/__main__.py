"""`python -m tapewire.cli`: the same as `tapewire`."""

from tapewire.cli import main

main(prog_name="tapewire")
