"""Which pictures to label next: what the model is unsure of, what two opinions differ on, what is new."""
