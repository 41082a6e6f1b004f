"""What is shown of what the API says: pure functions from its JSON to words, numbers and curves."""
