"""One module a command of the command line; `verify.cli` names them and loads one at a time."""
