"""Ways out of the machine: pages and the like."""
