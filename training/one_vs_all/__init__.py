"""What the binary models of intents know beforehand: how rare each feature is in what people say to assistants."""
