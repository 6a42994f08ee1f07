"""One module a command of the command line; `verify.app` names them and loads one at a time."""
