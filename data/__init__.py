"""What happens to a message before a model sees it."""
