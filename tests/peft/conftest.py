"""The modules of the tests beside this one."""
