"""Stand-ins for AWS and for databases on this machine, without Docker: installed once, checked, on loopback alone."""
