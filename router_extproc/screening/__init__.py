"""Personal data in a text: written rules for the forms that can be checked, one rule to merge finds. Pure."""
