"""What a model's own files say of it: its configuration, tokenizer and chat template."""
