"""What `otelext collector validate` looks for: a file a subject, each with its rules and the function that applies them."""
