"""What a user brings: networks of other packages, and functions of her own."""
