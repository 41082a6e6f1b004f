"""How the shipped heads were fitted. Not part of the wheel."""
