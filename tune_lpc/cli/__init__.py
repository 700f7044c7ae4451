"""What the commands share: options, terminal, live table, dry run."""
