"""The training floor: data, networks, losses, measures and the loop. Runs in a notebook without Ray."""
